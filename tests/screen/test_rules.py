"""Rules and adaptations read the text only: nothing here runs a candidate."""

from pathlib import Path

import pytest

from evoprompt.candidate import Reason, Rejected
from evoprompt.grammar.seeds import seeds
from evoprompt.screen import Prepared, prepare

NETS = sorted((Path(__file__).parents[2] / "benchmarks" / "nets").glob("*.py"))
HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n\n\n"
FORWARD = "\n    def forward(self, x):\n        return self.layers(x.flatten(1))\n"


def net(parameters: str, body: str = "self.layers = nn.LazyLinear(10)", head: str = HEAD) -> str:
    lines = f"    def __init__({parameters}):\n        super().__init__()\n        {body}\n"
    return f"{head}class Net(nn.Module):\n{lines}{FORWARD}"


def rejection(source: str) -> tuple[Reason, str]:
    verdict = prepare(source)
    assert isinstance(verdict, Rejected)
    return verdict.reason, verdict.detail


def prepared(source: str) -> Prepared:
    verdict = prepare(source)
    assert isinstance(verdict, Prepared), verdict
    again = prepare(verdict.source)
    assert again == Prepared(verdict.source)
    return verdict


@pytest.mark.parametrize("shape", [(1, 40), (1, 8, 8), (30,)])
def test_the_seeds_are_under_the_contract_as_they_are(shape: tuple[int, ...]) -> None:
    for source in seeds(shape, 10).values():
        assert prepare(source) == Prepared(source)


@pytest.mark.parametrize("path", NETS, ids=lambda path: path.stem)
def test_the_nets_of_the_benchmark_are_under_the_contract_as_they_are(path: Path) -> None:
    assert prepare(path.read_text()) == Prepared(path.read_text())


def test_only_line_ends_and_trailing_spaces_change_under_the_contract() -> None:
    source = net("self, in_shape, num_classes")
    assert prepared(source.replace("\n", "  \r\n") + "\n\n").source == source


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self, num_classes", "self, in_shape, num_classes"),
        ("self, n_out=10", "self, in_shape, n_out"),
        ("self", "self, in_shape, num_classes"),
        ("self, width=32, depth=3", "self, in_shape, num_classes, width=32, depth=3"),
        ("self, num_classes: int = 10, w=8", "self, in_shape, num_classes: int, w=8"),
        ("self, num_classes, in_shape", "self, in_shape, num_classes"),
        ("self, classes, *, w=8", "self, in_shape, classes, *, w=8"),
    ],
)
def test_constructors_are_adapted(old: str, new: str) -> None:
    verdict = prepared(net(old))
    assert verdict.source == net(new)
    assert verdict.adapted == ("constructor",)


@pytest.mark.parametrize(
    "parameters",
    ["self, in_shape, num_classes", "self, in_shape=(1, 40), num_classes=10, w=3", "self, s, k"],
)
def test_constructors_under_the_contract_stay(parameters: str) -> None:
    assert prepared(net(parameters)).adapted == ()


def test_input_channels_become_the_first_of_the_shape() -> None:
    verdict = prepared(net("self, in_channels, num_classes=10"))
    assert "def __init__(self, in_shape, num_classes):" in verdict.source
    assert "        in_channels = in_shape[0]\n        super().__init__()\n" in verdict.source


def test_the_line_for_the_channels_is_indented_as_its_neighbours_are() -> None:
    source = net("self, in_channels, num_classes=10").replace("    ", "\t")
    assert "\t\tin_channels = in_shape[0]\n\t\tsuper().__init__()\n" in prepared(source).source


def test_missing_imports_are_added() -> None:
    source = net("self, in_shape, num_classes", "self.scale = math.sqrt(2.0)", head="")
    verdict = prepared(source)
    assert verdict.source.startswith("import math\nimport torch.nn as nn\n\n\nclass Net(nn.Module)")
    assert verdict.adapted == ("imports of math, nn",)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("torch.zeros(1)", "import torch"),
        ("torch.relu", "import torch"),
        ("Tensor", "from torch import Tensor"),
        ("List[int]", "from typing import List"),
        ("OrderedDict()", "from collections import OrderedDict"),
        ("partial(F.pad)", "from functools import partial"),
        ("init.zeros_", "from torch.nn import init"),
        ("itertools.chain", "import itertools"),
    ],
)
def test_usual_names_of_allowed_modules_are_imported(name: str, line: str) -> None:
    source = net("self, in_shape, num_classes", f"self.a = {name}", head="")
    assert line in prepared(source).source.split("\n")


def test_imports_are_added_behind_those_from_the_future() -> None:
    future = "from __future__ import annotations\n\n\n"
    source = prepared(net("self, in_shape, num_classes", head=future)).source
    assert source.startswith("from __future__ import annotations\nimport torch.nn as nn\n\n\n")


@pytest.mark.parametrize(
    "head",
    [
        "import torch\nfrom torch import nn\n",
        "from torch import nn, Tensor\n",
        "from torch import nn\nfrom torch.nn import functional as F, init\n",
        "import torch.nn as nn\nimport torch.nn.init as init\n",
        "from __future__ import annotations\nimport torch.nn as nn\n",
        "import torch.nn as nn\nfrom typing import List, Optional, Tuple\n",
        "import torch.nn as nn\nimport typing as t\nx: t.List[int] = []\n",
        "from torch import nn\nfrom collections import OrderedDict, deque\n",
        "from torch import nn\nfrom functools import partial\n",
        "import torch.nn as nn\nimport collections.abc\nx: collections.abc.Sequence\n",
        "import torch.nn as nn\nimport itertools\nx = itertools.chain([1], [2])\n",
    ],
)
def test_usual_imports_stay_as_they_are(head: str) -> None:
    assert prepared(net("self, in_shape, num_classes", head=head)).adapted == ()


def test_the_one_class_that_nothing_uses_is_the_net() -> None:
    source = net("self, in_shape, num_classes").replace("class Net", "class TinyCNN")
    helper = "class Block(nn.Module):\n    pass\n\n\n"
    source = source.replace("class TinyCNN", helper + "class TinyCNN")
    source = source.replace("nn.LazyLinear(10)", "nn.Sequential(Block(), nn.LazyLinear(10))")
    verdict = prepared(source)
    assert verdict.source.endswith("\n\nNet = TinyCNN\n")
    assert verdict.adapted == ("TinyCNN named Net",)
    two = source + "\n\n" + source.partition(helper)[2].replace("TinyCNN", "Other")
    assert rejection(two)[0] is Reason.NO_NET


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x = 1\n" * 10_000, Reason.TOO_LONG),
        ("x = " + "(" * 100_000, Reason.TOO_LONG),
        ("x = " + "(" * 5_000, Reason.TOO_LONG),
        ("x = " + "-" * 15_000 + "1", Reason.TOO_LONG),
        ("x = a" + ".b" * 9_000, Reason.TOO_LONG),
        ("x = " + "1 + " * 4_000 + "1", Reason.TOO_LONG),
        ("x = '\0'", Reason.SYNTAX),
        ("x = '\udc80'", Reason.SYNTAX),
        ("", Reason.NO_NET),
        ("import sys", Reason.FORBIDDEN_IMPORT),
        ("from os import path", Reason.FORBIDDEN_IMPORT),
        ("from . import data", Reason.FORBIDDEN_IMPORT),
        ("from torch import *", Reason.FORBIDDEN_IMPORT),
        ("import torch.utils.data", Reason.FORBIDDEN_IMPORT),
        ("from typing import sys", Reason.FORBIDDEN_IMPORT),
        ("from collections import abc", Reason.FORBIDDEN_IMPORT),
        ("from functools import *", Reason.FORBIDDEN_IMPORT),
        ("from __future__ import division", Reason.FORBIDDEN_IMPORT),
        ("from torch import _C", Reason.FORBIDDEN_IMPORT),
        ("import typing as t\nt.sys", Reason.FORBIDDEN_NAME),
        ("import dataclasses\ndataclasses.make_dataclass", Reason.FORBIDDEN_NAME),
        ("try:\n    pass\nexcept ValueError:\n    pass", Reason.FORBIDDEN_NAME),
        ("match x:\n    case object(__class__=y):\n        pass", Reason.FORBIDDEN_NAME),
        ("def f():\n    yield 1", Reason.FORBIDDEN_NAME),
        ("def f():\n    global x", Reason.FORBIDDEN_NAME),
        ("def __getattr__(n): pass", Reason.FORBIDDEN_NAME),
        ("class __init__: pass", Reason.FORBIDDEN_NAME),
        ("bytearray(1)", Reason.FORBIDDEN_NAME),
        ("Net = 1", Reason.NO_NET),
        ("def Net(in_shape, num_classes): pass", Reason.NO_NET),
        ("import torch.nn as nn\nclass Net(nn.Module): pass\n" * 2, Reason.NO_NET),
        ("eval('1')", Reason.FORBIDDEN_NAME),
        ("__builtins__", Reason.FORBIDDEN_NAME),
        ("().__class__", Reason.FORBIDDEN_NAME),
        ("torch.load('x')", Reason.FORBIDDEN_NAME),
        ("F.relu = abs", Reason.FORBIDDEN_NAME),
        ("async def f(): pass", Reason.FORBIDDEN_NAME),
    ],
)
def test_what_is_rejected_before_it_runs(source: str, reason: Reason) -> None:
    assert rejection(source)[0] is reason


def test_a_rejection_quotes_the_line() -> None:
    source = net("self, in_shape, num_classes", "self.text = open('/etc/passwd').read()")
    detail = "line 9: `self.text = open('/etc/passwd').read()`: open is not allowed"
    assert rejection(source) == (Reason.FORBIDDEN_NAME, detail)


def test_of_several_breaches_the_first_line_is_quoted() -> None:
    source = "x = 1\nx = (1).__class__\nimport os\n"
    detail = "line 2: `x = (1).__class__`: .__class__ is not allowed"
    assert rejection(source) == (Reason.FORBIDDEN_NAME, detail)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x = 1\ny = '\0'", 2),
        ("x = 1\ny = '\udc80'", 2),
        ("x = (1,\n\n1 2)", 3),
        ("def Net(in_shape, num_classes): pass", 1),
    ],
)
def test_other_rejections_name_the_line_too(source: str, line: int) -> None:
    assert rejection(source)[1].startswith(f"line {line}: ")


def test_usual_variable_names_are_no_offence() -> None:
    source = net("self, in_shape, num_classes")
    prepared(source.replace("forward(self, x)", "forward(self, input)").replace("x.f", "input.f"))
