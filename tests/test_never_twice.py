"""Nothing is paid for twice: a source is screened once in a run, a graph is trained once.

The ledger, the state and the steps are real; the rooms that would do the work only count it.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from evoprompt.candidate import (
    Prompt,
    Reason,
    Rejected,
    Reply,
    Sampling,
    Screened,
    Stage,
    TaskShape,
    Trained,
    candidate_id,
)
from evoprompt.config import SearchSettings
from evoprompt.ledger import Event, Ledger
from evoprompt.screen import Prepared, prepare
from evoprompt.steps.run import Run
from evoprompt.steps.screen import screen
from evoprompt.steps.train import train
from evoprompt.steps.versions import Questions, answers
from evoprompt.storage import write_atomically

NET = """import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear({}))

    def forward(self, x):
        return self.layers(x)
"""
GOOD, OTHER, BAD = NET.format("num_classes"), NET.format("10"), NET.format("'bad'")
SPELLINGS = [
    GOOD.replace("\n", "  \r\n"),
    "\n\n" + GOOD + "\n\n",
    GOOD.replace("import torch.nn as nn\n\n\n", ""),
    GOOD.replace("in_shape, num_classes):", "num_classes):"),
]


class CountingScreener:
    """Accepts every program but BAD; all accepted ones have one graph."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def prepare(self, source: str) -> Prepared | Rejected:
        return prepare(source)

    def screen_all(self, sources: list[str], progress: Any = None) -> list[Screened | Rejected]:
        self.seen += sources
        return [self._verdict(source) for source in sources]

    def _verdict(self, source: str) -> Screened | Rejected:
        if "'bad'" in source:
            return Rejected(Stage.BUILD, Reason.BUILD_ERROR, "line 7: no")
        candidate = candidate_id(source)
        return Screened(candidate, "g" * 64, f"graphs/{candidate}.onnx", 10, 10, 1, 2, "NET")

    def close(self) -> None: ...


class CountingTrainer:
    """Trains everything to 90 %."""

    def __init__(self, recipe: str) -> None:
        self.recipe = recipe
        self.seen: list[tuple[str, int]] = []

    def recipe_key(self) -> str:
        return self.recipe

    def train_all(self, jobs: list[Any]):
        for index, job in enumerate(jobs):
            self.seen.append((job.candidate, job.seed))
            yield index, Trained(job.candidate, job.graph, job.seed, 0.9, 10, 0.1, (), "w")

    def close(self) -> None: ...


class Nobody:
    """Looks on and says nothing."""

    def phase(self, *_: object) -> None: ...

    def event(self, *_: object) -> None: ...

    def note(self, *_: object) -> None: ...

    def close(self) -> None: ...


class Reciting(Nobody):
    """Writes the same replies to every prompt."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def use(self, *_: object) -> None: ...

    def sample(self, prompts: list[Prompt], samplings: object) -> list[list[Reply]]:
        return [[Reply(text, 1, True) for text in self.texts] for _ in prompts]


class Search:
    """A run folder with steps taken by hand; `resumed` replays its ledger into a new run."""

    def __init__(self, folder: Path, seed: int = 0, recipe: str = "recipe") -> None:
        path = folder / "ledger.sqlite"
        ledger = Ledger(path, writable=True) if path.exists() else Ledger.create(path)
        self.screener, self.trainer = CountingScreener(), CountingTrainer(recipe)
        rooms: Any = {"engine": Nobody(), "archive": None, "surrogate": None}
        self.run = Run(
            folder=folder,
            settings=SearchSettings(seed=seed),
            ledger=ledger,
            shape=TaskShape("test", (1, 40), 10),
            task_counts={},
            templates={},
            screener=self.screener,  # type: ignore[arg-type]
            trainer=self.trainer,  # type: ignore[arg-type]
            watch=Nobody(),
            **rooms,
        )
        for event in ledger.events():
            self.run.take(event)

    def resumed(self, **changes: Any) -> "Search":
        self.run.close()
        return Search(self.run.folder, **changes)

    def screen(self, generation: int, *sources: str) -> list[str]:
        """Propose and screen programs; return the kinds of the events."""
        proposed = [self._propose(generation, i, text) for i, text in enumerate(sources)]
        screen(self.run, generation, proposed)
        return [event.kind for event in self.run.ledger.events(generation, "screen")]

    def train(self, generation: int, source: str) -> list[str]:
        """Choose and train one program; return the kinds of the events."""
        payload = {"candidate": identity(source), "why": "test", "worth": 0.0}
        self.run.once(generation, "choose", 0, lambda: ("chosen", payload, {}))
        train(self.run, generation)
        return [event.kind for event in self.run.ledger.events(generation, "train")]

    def sample(self, sampled: dict[str, Screened | Rejected], *sources: str) -> tuple[int, int]:
        """Count samples of a gate; return how many are valid, and how many of those are new."""
        prompt = Prompt("", "", "", "mutate", (), "", reply_format="program")
        self.run.engine = Reciting([f"```python\n{text}```\n" for text in sources])
        told = Questions([(prompt, Sampling(1.0, len(sources), 0))], sampled)
        written = answers(self.run, told, "v001", None)
        return written.valid, written.valid_new

    def _propose(self, generation: int, index: int, source: str) -> Event:
        prepared = prepare(source)
        assert isinstance(prepared, Prepared)
        candidate = candidate_id(prepared.source)
        write_atomically(self.run.source_path(candidate), prepared.source.encode())
        payload = {
            "candidate": candidate, "prompt": "", "reply": source, "token_count": 1,
            "operator": "mutate", "parents": [], "name": None,
        }  # fmt: skip
        return self.run.once(generation, "propose", index, lambda: ("proposed", payload, {}))


def identity(source: str) -> str:
    prepared = prepare(source)
    assert isinstance(prepared, Prepared)
    return candidate_id(prepared.source)


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(tmp_path)


def test_spellings_of_one_program_are_one_candidate() -> None:
    assert {identity(spelling) for spelling in SPELLINGS} == {identity(GOOD)}


def test_a_program_is_screened_once_in_whatever_spelling_it_comes(search: Search) -> None:
    assert search.screen(1, GOOD, *SPELLINGS) == ["screened", *["duplicate"] * len(SPELLINGS)]
    assert search.screen(2, *SPELLINGS) == ["duplicate"] * len(SPELLINGS)
    assert search.screener.seen == [GOOD]


def test_a_rejected_program_is_not_run_again(search: Search) -> None:
    assert search.screen(1, BAD, GOOD) == ["rejected", "screened"]
    assert search.screen(2, BAD, OTHER) == ["duplicate", "screened"]
    assert search.screener.seen == [BAD, GOOD, OTHER]


def test_a_resumed_search_remembers_what_was_screened(search: Search) -> None:
    search.screen(1, BAD, GOOD)
    resumed = search.resumed()
    assert resumed.run.state.verdicts == search.run.state.verdicts
    assert resumed.screen(2, *SPELLINGS, BAD) == ["duplicate"] * 5
    assert resumed.screener.seen == []


def test_samples_of_a_gate_that_the_run_knows_are_not_screened_again(search: Search) -> None:
    search.screen(1, BAD, GOOD)
    sampled: dict[str, Screened | Rejected] = {}
    assert search.sample(sampled, GOOD, BAD, SPELLINGS[0]) == (2, 0)
    assert search.screener.seen == [BAD, GOOD]
    assert sampled == {}


def test_both_sides_of_a_gate_share_their_verdicts(search: Search) -> None:
    sampled: dict[str, Screened | Rejected] = {}
    assert search.sample(sampled, GOOD, GOOD, BAD) == (2, 1)
    assert search.sample(sampled, SPELLINGS[2], BAD) == (1, 1)
    assert search.screener.seen == [GOOD, BAD]
    assert set(sampled) == {identity(GOOD), identity(BAD)}


def test_what_a_gate_saw_is_remembered_also_by_a_resumed_search(search: Search) -> None:
    sampled: dict[str, Screened | Rejected] = {}
    search.sample(sampled, GOOD, BAD)
    payload = {
        "serving": "base",
        "token_count": 2,
        "sampled": {candidate: asdict(verdict) for candidate, verdict in sampled.items()},
    }
    search.run.once(1, "learn", 1, lambda: ("proposer", payload, {}))
    resumed = search.resumed()
    assert resumed.run.state.verdicts == sampled
    assert resumed.screen(2, BAD, GOOD) == ["rejected", "screened"]
    assert resumed.sample({}, GOOD, BAD) == (1, 0)
    assert resumed.screener.seen == []


def test_a_graph_is_trained_once_under_one_recipe_and_seed(search: Search) -> None:
    search.screen(1, GOOD, OTHER)
    assert search.train(1, GOOD) == ["trained"]
    assert search.train(2, OTHER) == ["known"]
    resumed = search.resumed()
    assert resumed.train(3, OTHER) == ["known"]
    assert resumed.run.state.programs[identity(OTHER)].accuracy == 0.9
    assert [candidate for candidate, _ in search.trainer.seen] == [identity(GOOD)]
    assert resumed.trainer.seen == []


@pytest.mark.parametrize("changes", [{"recipe": "more steps"}, {"seed": 1}])
def test_another_recipe_or_seed_is_another_result(search: Search, changes: dict[str, Any]) -> None:
    search.screen(1, GOOD)
    search.train(1, GOOD)
    resumed = search.resumed(**changes)
    assert resumed.train(2, GOOD) == ["trained"]
    assert len(resumed.run.state.results) == 2
