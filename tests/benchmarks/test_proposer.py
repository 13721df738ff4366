"""The proposer's benchmark counts what it says it counts."""

from dataclasses import replace
from pathlib import Path
from random import Random

import proposer_figures as figures
import pytest
from proposer_asking import Sample, template_plan
from proposer_case import Known, known
from proposer_corpus import Corpus, read_corpus, streams_read
from proposer_structure import is_structural, skeleton

from evoprompt.candidate import Prompt, Reason, Rejected, Reply, Screened, Stage, rejected
from evoprompt.grammar.edits import apply
from evoprompt.grammar.seeds import seeds
from evoprompt.grammar.spec import parse, render
from evoprompt.propose.builtin_batches import BRANCHES
from evoprompt.propose.builtin_corpus import examples
from evoprompt.propose.templates import load_templates

NOTHING = Corpus(frozenset())


def text(*layers: str) -> str:
    return "\n".join(["NET 1x40>10", *layers, "ReduceMean a2 @8x1", "View @8", "Linear 8>10 @10"])


CONV = "Conv k{k} 1>8{extra} IN @8x40"


def net(kernel: int = 3, extra: str = "", last: str = "Relu @8x40") -> str:
    return text(CONV.format(k=kernel, extra=extra), last)


@pytest.mark.parametrize(
    ("changed", "is_other"),
    [
        (net(kernel=5), False),
        (net(extra=" d2"), True),
        (net(last="Gelu @8x40"), True),
        (net(last="Relu @8x40\nAdd ^1 ^2 @8x40"), True),
    ],
)
def test_a_graph_without_sizes_tells_operators_and_wiring_only(
    changed: str, is_other: bool
) -> None:
    assert (skeleton(changed) != skeleton(net())) == is_other


def test_grouped_and_depthwise_convolutions_are_other_operators() -> None:
    def second(groups: str) -> str:
        return text(CONV.format(k=3, extra=""), f"Conv k3 {groups}8>8 @8x40")

    assert len({skeleton(second(groups)) for groups in ("", "g2 ", "g8 ")}) == 3
    assert skeleton(second("g2 ")) == skeleton(second("g4 "))


def test_both_lines_and_graph_must_differ_to_be_structural() -> None:
    parent, wider = ["nn.LazyConv1d(8, 3, 1, 1),"], ["nn.LazyConv1d(16, 3, 1, 1),"]
    other = [*parent, "nn.GELU(),"]
    assert not is_structural(wider, net(last="Gelu @8x40"), parent, net())
    assert not is_structural(other, net(kernel=5), parent, net())
    assert is_structural(other, net(last="Gelu @8x40"), parent, net())


def screened(graph: str, parameters: int = 100) -> Screened:
    return Screened(graph, graph, "", parameters, 1000, 1, 1, net())


def parent(place: int) -> Known:
    source = list(seeds((1, 40), 10).values())[place]
    spec = parse(source, (1, 40), 10)
    return known(source, screened(f"parent {place}", 100), 0.5, spec)


def sample(
    answer: Screened | Rejected, source: str = "", operator: str = "mutate", tokens: int = 10
) -> Sample:
    parents = (parent(0), parent(1)) if operator == "cross" else (parent(0),)
    ids = tuple(each.parent.id for each in parents)
    prompt = Prompt("", operator, "", operator, ids, parents[0].parent.source)
    source = source or parents[0].parent.source
    return Sample("mnist1d", prompt, parents, Reply("", tokens, True), source, False, answer)


NOT_VALID = rejected(Stage.PARSE, Reason.BAD_EDIT)


def test_new_is_unlike_parents_siblings_and_corpus() -> None:
    alone = sample(screened("a"), "class A:\n    pass\n")
    twins = [sample(screened("b")), sample(screened("b"))]
    same = sample(screened("parent 0"))
    run = [alone, *twins, same, sample(NOT_VALID)]
    assert figures.new_ones(run, run, NOTHING) == [alone]
    assert figures.different_ones(run, NOTHING) == [alone, twins[0]]
    held = Corpus(frozenset({hash("\n".join(alone.lines))}))
    assert figures.new_ones(run, run, held) == []


def test_shares_of_those_asked_to_shrink() -> None:
    asked = [
        sample(screened("a", 50), operator="shrink"),
        sample(screened("b", 100), operator="shrink"),
        sample(NOT_VALID, operator="shrink"),
        sample(screened("c", 200), operator="grow"),
    ]
    assert figures.moved(asked, "shrink") == (0.5, round(1 / 3, 4))
    assert figures.moved(asked, "grow") == (1.0, 1.0)


def test_a_crossover_carries_both_only_with_a_line_of_each_that_the_other_lacks() -> None:
    first, second = parent(0), parent(1)
    only = [each for each in second.lines if each not in first.lines and each.endswith("),")]
    place = next(n for n, line in enumerate(first.lines, 1) if "Sequential(" in line)
    both = apply(first.parent.source, f"@L{place}+\nD1\n@end", [only[0]])
    crossed = sample(screened("a"), both, "cross")
    assert figures.cross_both([crossed]) == 1.0
    assert figures.cross_both([replace(crossed, source=first.parent.source)]) == 0.0
    assert figures.cross_both([replace(crossed, source=second.parent.source)]) == 0.0


def test_tokens_of_all_replies_are_paid_by_the_new_ones() -> None:
    new = sample(screened("a"), tokens=10)
    told = figures.token_share([new, sample(NOT_VALID, tokens=20)], [new], lambda text: 60)
    assert told == 0.5


def test_heredity_of_the_grammars_own_children_is_near_one_and_of_strangers_low() -> None:
    kin, strangers = [], []
    for place, each in enumerate([*seeds((1, 40), 10)] * 3):
        parent_0 = parent([*seeds((1, 40), 10)].index(each))
        base = sample(screened(f"child {place}"))
        prompt = replace(base.prompt, parents=(parent_0.parent.id,))
        base = replace(base, prompt=prompt, parents=(parent_0,))
        child = figures.true_child(base, Random(place))
        assert child is not None
        kin.append(replace(base, source=render(child)))
        strangers.append(replace(base, source=parent((place + 1) % 3).parent.source))
    near, far = figures.inheritance(kin), figures.inheritance(strangers)
    assert near is not None
    assert far is not None
    assert near > 0.8
    assert far < 0.5


def test_every_template_has_a_prompt_and_shares_follow_weights() -> None:
    templates = load_templates()
    plan = template_plan(templates, 0.3, 125)
    assert len(plan) == 125
    assert 36 <= plan.count("cross") <= 39
    assert set(template_plan(templates, 0.3, 5)) == set(plan) == {*templates} - {"repair"}


def test_the_corpus_holds_what_training_read() -> None:
    corpus = read_corpus([(1007, 60), (8, 30)], 10_000, lambda done: None)
    for seed in (1007, 8):
        first = next(examples(seed, BRANCHES))
        assert corpus.holds(first.lines)
        assert all(corpus.holds(branch.child) for branch in first.branches)
    assert corpus.edits >= 90
    assert corpus.share == 1.0
    assert not corpus.holds(next(examples(9, BRANCHES)).lines)
    assert read_corpus([(8, 1000)], 100, lambda done: None).share < 0.2


def test_a_folder_without_notes_of_its_training_is_told_apart(tmp_path: Path) -> None:
    assert streams_read(tmp_path) is None
    (tmp_path / "progress.json").write_text('{"edits": 3, "streams": [[1000, 3]]}')
    assert streams_read(tmp_path) == [(1000, 3)]
