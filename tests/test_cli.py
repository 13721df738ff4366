"""The command line answers at once and imports nothing heavy to say how it is used."""

import subprocess
import sys

HEAVY = ("torch", "transformers", "peft", "accelerate", "onnx", "ribs", "numpy", "tyro", "rich")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from evoprompt.cli import main; main(['--help']); "
        f"print('HEAVY:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "usage: evoprompt COMMAND" in run.stdout
    assert "HEAVY: []" in run.stdout


def test_help_answers_in_half_a_second():
    best = min(_seconds_of_help() for _ in range(3))
    assert best < 0.5


def _seconds_of_help():
    code = (
        "import os, subprocess, sys; "
        "subprocess.run([sys.executable, '-m', 'evoprompt', '--help'], stdout=subprocess.DEVNULL); "
        "t = os.times(); print(t.children_user + t.children_system)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout)
