"""Foreign programs in the canonical style: the real screen, the same graph before and after."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from random import Random

import pytest
import torch

from evoprompt.candidate import Rejected, Screened, TaskShape
from evoprompt.config import ScreenSettings
from evoprompt.grammar.canonical import own_lines
from evoprompt.grammar.edits import END, apply
from evoprompt.grammar.library import CONVOLUTIONS, GATES, SEQUENCES, WRAPPERS, arguments
from evoprompt.grammar.spec import BRANCHED, CHAIN, Head, Layer, Spec, parse, render
from evoprompt.grammar.variation import random_spec
from evoprompt.rewrite import rewrite
from evoprompt.screen import Screener
from evoprompt.screen.recorder import record
from surrogate import encode
from tests.rewrite.programs import NUM_CLASSES, Program, programs

SETTINGS = ScreenSettings(workers=1, seconds_limit=20.0, cpu_seconds=8)
PROGRAMS = programs()


@dataclass(frozen=True)
class Outcome:
    """A program and its canonical form, and what the screen said of both."""

    program: Program
    answer: Screened | Rejected
    text: str | None
    second: Screened | Rejected | None
    again: str | None
    """The canonical form of the canonical form."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return {
        outcome.program.name: outcome
        for shape in sorted({program.in_shape for program in PROGRAMS})
        for outcome in screened(shape, tmp_path_factory.mktemp("run"))
    }


def screened(shape: tuple[int, ...], folder) -> Iterator[Outcome]:
    own = [program for program in PROGRAMS if program.in_shape == shape]
    screener = Screener(SETTINGS, TaskShape("test", shape, NUM_CLASSES), folder)

    def rewritten(answer: Screened | Rejected | None) -> str | None:
        if not isinstance(answer, Screened):
            return None
        return rewrite((folder / answer.graph_path).read_bytes(), shape, NUM_CLASSES)

    try:
        answers = screener.screen_all([program.source for program in own])
        texts = [rewritten(answer) for answer in answers]
        seconds = iter(screener.screen_all([text for text in texts if text is not None]))
        for program, answer, text in zip(own, answers, texts, strict=True):
            second = next(seconds) if text is not None else None
            yield Outcome(program, answer, text, second, rewritten(second))
    finally:
        screener.close()


def test_there_are_at_least_sixty_small_programs():
    assert len(PROGRAMS) >= 60
    assert len({program.source for program in PROGRAMS}) == len(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_foreign_program_has_the_same_graph_in_the_canonical_style(program, outcomes):
    outcome = outcomes[program.name]
    assert isinstance(outcome.answer, Screened), outcome.answer
    assert outcome.answer.parameters < 100_000
    assert outcome.answer.macs < 1_000_000
    assert isinstance(outcome.second, Screened), outcome.second
    assert outcome.second.graph == outcome.answer.graph
    assert outcome.second.adapted == ()
    assert outcome.again == outcome.text
    assert own_lines(outcome.text) is not None  # it has a numbered view


def test_most_canonical_programs_take_another_layer_in_front(outcomes):
    """Their parts follow the sizes of what they read."""
    refused = []
    for outcome in outcomes.values():
        shape, text = outcome.program.in_shape, outcome.text or ""
        d = len(shape) - 1 or 1
        try:
            child = apply(text, f"@L4+\nnn.LazyConv{d}d(18, 3, 1, 1),\n{END}", (), d)
            graph_of(child, shape)
        except (RuntimeError, ValueError, TypeError, IndexError) as problem:
            refused.append((outcome.program.name, str(problem)[:80]))
    assert len(refused) <= 0.1 * len(outcomes), refused


def test_what_the_grammar_contains_is_read_by_it(outcomes):
    """The others have layers or settings that the grammar has no word for."""
    inside = [o for o in outcomes.values() if parse(o.text, o.program.in_shape, NUM_CLASSES)]
    assert len(inside) >= 9, [o.program.name for o in inside]


def graph_of(source: str, shape: tuple[int, ...]) -> bytes:
    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)
    names: dict = {"__name__": "candidate"}
    exec(compile(source, "candidate", "exec"), names)
    net = names["Net"](shape, NUM_CLASSES).eval()
    with torch.no_grad():
        net(torch.randn(2, *shape))
    return record(net, lambda batch: (torch.randn(batch, *shape),)).model.SerializeToString()


SHAPES = [(1, 40), (2, 64), (3, 16, 16), (16,)]


def test_programs_of_the_grammar_keep_their_graphs_and_most_are_recovered():
    """The graph alone gives the program back, but for dropout and what two spellings share."""
    recovered = []
    for shape, seed in product(SHAPES, range(12)):
        graph = graph_of(render(random_spec(Random(seed), shape, NUM_CLASSES)), shape)
        text = rewrite(graph, shape, NUM_CLASSES)
        assert text is not None
        assert encode.read(graph_of(text, shape)).hash == encode.read(graph).hash
        recovered.append(parse(text, shape, NUM_CLASSES) is not None)
    assert sum(recovered) > 0.6 * len(recovered)


NUMBERS = {"channels": 12, "kernel": 3, "stride": 2, "wide": 7, "dilation": 3, "expansion": 2}
NUMBERS |= {"groups": 3, "width": 6, "heads": 2, "window": 5, "hidden": 14}


@pytest.mark.parametrize("shape", [(1, 40), (1, 6, 7)])
@pytest.mark.parametrize("kind", [*CONVOLUTIONS, *GATES, *SEQUENCES])
def test_a_class_of_the_library_is_found_in_its_graph(kind, shape):
    names = ["hidden"] if kind == "SequenceBlock" else arguments(kind)
    numbers = NUMBERS | {"positions": prod(shape[1:])}
    layer = Layer(kind, tuple(numbers[name] for name in names if name != "activation"))
    first = () if kind == "SequenceBlock" else (Layer("conv", (8, 3, 1, 1)),)
    source = render(Spec(shape, NUM_CLASSES, (*first, layer), Head("Avg", 1)))
    assert rewrite(graph_of(source, shape), shape, NUM_CLASSES) == source


@pytest.mark.parametrize("shape", [(1, 40), (1, 8, 8)])
@pytest.mark.parametrize("kind", list(WRAPPERS))
def test_a_wrapper_is_found_where_its_branches_differ_in_shape(kind, shape):
    inner = (Layer("ConvBlock", (12, 3, 2)), Layer("conv", (6, 1, 1, 0)))
    inside = (Layer("conv", (12, 3, 1, 1)), Layer(CHAIN, (), inner))
    wrapper = Layer(kind, (), inside if kind in BRANCHED else inner)
    source = render(Spec(shape, NUM_CLASSES, (Layer("conv", (8, 3, 1, 1)), wrapper), Head("Avg")))
    assert rewrite(graph_of(source, shape), shape, NUM_CLASSES) == source


def net(init: str, forward: str) -> str:
    return (
        "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"
        "class Net(nn.Module):\n    def __init__(self, in_shape, num_classes):\n"
        f"        super().__init__()\n        {init}\n"
        "        self.last = nn.LazyLinear(num_classes)\n"
        f"    def forward(self, x):\n        {forward}\n"
    )


def test_two_spellings_of_one_network_become_one_text():
    one = net(
        "self.a = nn.Conv1d(1, 8, 3, padding=1)", "return self.last(F.relu(self.a(x)).flatten(1))"
    )
    other = net(
        "self.b = nn.Sequential(nn.LazyConv1d(8, 3, padding='same'), nn.ReLU())",
        "y = self.b(x); return self.last(y.reshape(x.shape[0], -1))",
    )
    texts = {rewrite(graph_of(source, (1, 40)), (1, 40), 10) for source in (one, other)}
    assert len(texts) == 1


@pytest.mark.parametrize(
    "forward",
    [
        "return self.last(x.repeat(1, 3, 2).flatten(1))",
        "m = torch.tril(torch.ones(40, 40)); return self.last((x @ m).flatten(1))",
        "y = x.transpose(1, 2); m = torch.ones(40, 40, dtype=torch.bool).tril()\n"
        "        a = (y @ x).masked_fill(~m, float('-inf')).softmax(-1)\n"
        "        return self.last((a @ y).flatten(1))",
        "y = x.transpose(1, 2)\n"
        "        z = F.scaled_dot_product_attention(y, y, y, is_causal=True)\n"
        "        return self.last(z.flatten(1))",
        "return self.last((x.cumsum(2) / (torch.arange(40) + 1)).flatten(1))",
    ],
    ids=["copies", "triangle", "mask", "causal attention", "count"],
)
def test_tables_are_written_as_people_write_them(forward):
    graph = graph_of(net("pass", forward), (1, 40))
    text = rewrite(graph, (1, 40), 10)
    assert text is not None
    assert encode.read(graph_of(text, (1, 40))).hash == encode.read(graph).hash


def test_weights_that_are_read_twice_are_one_layer():
    source = net(
        "self.a = nn.Conv1d(1, 1, 3, padding=1)", "return self.last(self.a(self.a(x)).flatten(1))"
    )
    text = rewrite(graph_of(source, (1, 40)), (1, 40), 10)
    assert text is not None
    assert text.count("nn.LazyConv1d(") == 1
    assert "self.conv(self.conv(x))" in text


@pytest.mark.parametrize(
    ("init", "forward"),
    [
        ("pass", "return self.last(x.topk(7).values.flatten(1))"),
        (
            "self.register_buffer('mask', torch.ones(40, dtype=torch.bool))",
            "return self.last(x.masked_fill(self.mask, 0.0).flatten(1))",
        ),
        ("self.t = torch.randn(40, 40)", "return self.last((x @ self.t).flatten(1))"),
    ],
    ids=["an operator without a rule", "a table whose numbers are gone", "a large constant"],
)
def test_what_cannot_be_written_is_left_as_it_is(init, forward):
    assert rewrite(graph_of(net(init, forward), (1, 40)), (1, 40), 10) is None


def test_bytes_that_are_no_graph_have_no_program():
    assert rewrite(b"", (1, 40), 10) is None
    assert rewrite(b"no graph at all", (1, 40), 10) is None
