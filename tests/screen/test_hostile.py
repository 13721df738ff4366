"""Hostile programs with the rules switched off: what the jail alone holds.

The next issue brings sixty of them, as files; these are the basics.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from evoprompt.jail import Limits, Outcome, Zygote
from evoprompt.screen.check import check

LIMITS = Limits(seconds=20, cpu_seconds=1, memory_mb=512)
SECRET = "EVOPROMPT_TEST_API_KEY"
GOOD = """
import torch.nn as nn
class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.f = nn.Linear(4, num_classes)
    def forward(self, x):
        return self.f(x)
"""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    os.environ[SECRET] = "sk-not-for-candidates"
    with Zygote(["evoprompt.screen.child:warm"]) as it:
        it.start()
        yield it
    del os.environ[SECRET]


def record(zygote: Zygote, source: str, limits: Limits = LIMITS) -> Outcome:
    job = {"source": source, "in_shape": [4], "num_classes": 3, "max_parameters": 10**6}
    return zygote.run("evoprompt.screen.child:record", json.dumps(job).encode(), limits)


def is_graph(outcome: Outcome) -> bool:
    return outcome.output is not None and outcome.output.startswith(b"{}\n")


@pytest.mark.parametrize(
    "attack",
    [
        "while True: pass",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        "import os\nif os.fork() == 0:\n    os.setsid()\n    os.fork()\n    while True: pass",
        "kept = []\nwhile True: kept.append(bytearray(1 << 24))",
        "raise ValueError('x' * 100_000_000)",
        "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E",
        "import os\nos.kill(os.getppid(), 9)\nraise SystemExit",
        "import ctypes\nctypes.string_at(0)",
        "import torch\ntorch.nn.Linear.forward = None\ntorch.onnx.export = None",
        "import sys\nsys.modules.clear()",
    ],
)
def test_an_attack_stays_in_its_child(zygote: Zygote, attack: str) -> None:
    zygote.start()
    before = zygote.process_id
    clean = record(zygote, GOOD).output
    outcome = record(zygote, attack + "\n" + GOOD, LIMITS)
    assert not is_graph(outcome)
    after = record(zygote, GOOD)
    assert is_graph(after)
    assert after.output == clean
    assert zygote.process_id == before
    children = Path(f"/proc/{before}/task/{before}/children").read_text().split()
    assert children == []


FORGERY = """
import os
for number in range(3, 99):
    try: os.write(number, b'D{}\\n' + b'forged')
    except OSError: pass
"""


def test_a_forged_result_is_checked_like_any_other(zygote: Zygote) -> None:
    output = record(zygote, FORGERY + GOOD).output
    assert output is not None
    head, _, forged = output.partition(b"\n")
    assert head == b"{}"
    job = {"in_shape": [4], "num_classes": 3, "max_parameters": 10**6, "max_macs": 10**6}
    assert b"invalid_graph" in check(json.dumps(job).encode() + b"\n" + forged)


def test_a_flood_of_output_is_harmless(zygote: Zygote) -> None:
    flood = "import os\nprint('x' * 10**7)\nos.write(2, b'y' * 10**6)\n"
    assert is_graph(record(zygote, flood + GOOD))


def test_what_a_program_patches_is_gone_with_it(zygote: Zygote) -> None:
    patch = "import torch.nn.functional as F\nF.linear = lambda x, w, b: x[:, :3] + w[0, 0]\n"
    assert record(zygote, patch + GOOD).killed is None
    clean = record(zygote, GOOD)
    assert is_graph(clean)
    assert clean.output == record(zygote, GOOD).output
    assert b"Gemm" in (clean.output or b"")


def test_secrets_of_the_environment_are_not_there(zygote: Zygote) -> None:
    assert SECRET in os.environ
    spy = f"import os\nassert {SECRET!r} not in os.environ and 'HOME' not in os.environ\n"
    assert is_graph(record(zygote, spy + GOOD))
