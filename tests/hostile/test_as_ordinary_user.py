"""All hostile programs once more without root's rights, when the tests are run by root."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

USER = 65534
CHECKOUT = Path(__file__).parents[2]
HOSTILE = "tests/hostile"


def as_user(folder: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.hostile.ordinary", str(USER), sys.executable, *command],
        cwd=CHECKOUT,
        env={**os.environ, "HOME": folder, "TMPDIR": folder, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )


def test_the_programs_are_held_for_an_ordinary_user_too() -> None:
    if os.geteuid() != 0:
        pytest.skip("the tests are already run by an ordinary user")
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, USER, USER)
        os.chmod(folder, 0o700)
        tried = as_user(folder, "-c", "import os, torch; print(os.geteuid())")
        if tried.returncode:
            pytest.skip(f"root may not change user or mount here: {tried.stderr[-200:]}")
        assert tried.stdout.strip() == str(USER)
        base = f"--basetemp={folder}/pytest"
        done = as_user(folder, "-m", "pytest", HOSTILE, "-p", "no:cacheprovider", base)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        assert " passed" in done.stdout or "100%" in done.stdout
