"""What a search knows at a moment, rebuilt from its events and from nothing else.

`State.apply` takes the events in the order in which the loop makes or finds them; a resumed run
replays them and stands where the killed one stood. It holds no model and imports no room.
"""

from dataclasses import dataclass, field
from typing import Any

from evoprompt.candidate import Reason, Rejected, Score, Screened, Stage
from evoprompt.ledger import Event

ResultKey = tuple[str, str, int]
"""(graph hash, recipe key, seed): under this a training result is known."""


@dataclass
class Program:
    """One source text and what is known about it."""

    id: str
    generation: int
    index: int
    operator: str
    parents: tuple[str, ...]
    template: str = ""
    """Of a repaired child, the one that wrote the broken child."""
    name: str | None = None
    is_screened: bool = False
    """True once the screen has given a verdict, whatever it was."""
    screened: Screened | None = None
    known_graph: str | None = None
    """The program that had the same graph first."""
    score: Score | None = None
    why: str | None = None
    accuracy: float | None = None
    steps: int = 0
    """Of the training that measured the accuracy."""
    weights_path: str | None = None

    @property
    def is_seed(self) -> bool:
        """True for the programs that the search starts from."""
        return self.generation == 0


@dataclass(frozen=True)
class Written:
    """One reply as tuning sees it: which prompt, which text, which program came of it."""

    generation: int
    index: int
    prompt: str
    reply: str
    candidate: str | None


@dataclass(frozen=True)
class AuditPair:
    """What was believed and what was measured, of one trained child."""

    mean: float
    parameters: int
    macs: int
    accuracy: float
    is_reserve: bool
    is_held: bool | None
    """Whether the accuracy lies inside the interval that was recorded; None if none was."""


@dataclass
class Spent:
    """What one template spent and brought in one generation."""

    token_count: int = 0
    entered_count: int = 0
    """Children that entered the archive."""


@dataclass
class State:
    """The search so far."""

    programs: dict[str, Program] = field(default_factory=dict[str, Program])
    graphs: dict[str, str] = field(default_factory=dict[str, str])
    """Graph hash -> the first program that had it."""
    lines: dict[str, str] = field(default_factory=dict[str, str])
    """Hash of canonical lines -> the first program that had them."""
    verdicts: dict[str, Screened | Rejected] = field(default_factory=dict[str, Screened | Rejected])
    """What the screen said of each program, and of what was written for a gate."""
    results: dict[ResultKey, str] = field(default_factory=dict[ResultKey, str])
    """Known training results -> the program that was trained."""
    written: list[Written] = field(default_factory=list[Written])
    rewritten: dict[str, str | None] = field(default_factory=dict[str, str | None])
    """Graph hash -> the source in the canonical style that prompts show; None: the program's."""
    mended: set[str] = field(default_factory=set[str])
    """Ids of the broken sources that went back to be repaired."""
    spent: dict[tuple[int, str], Spent] = field(default_factory=dict[tuple[int, str], Spent])
    """What each template spent and brought, by (generation, template)."""
    pool: list[str] = field(default_factory=list[str])
    """New, scored candidates of the generation that is under way."""
    screened_count: int = 0
    """Valid candidates of the generation that is under way."""
    token_count: int = 0
    """Written by the proposer, for gates too."""
    prompt_token_count: int = 0
    """Read by it."""
    trained_count: int = 0
    """Children trained, seeds not counted."""
    cache_hits: int = 0
    predictor_version: str = "v000"
    judge: str = "predictor"
    proposer_version: str = "base"

    def apply(self, event: Event) -> None:
        """Take in one event."""
        handler = getattr(self, f"_on_{event.kind}", None)
        if handler is not None:
            handler(event, event.payload)

    def _on_started(self, event: Event, payload: dict[str, Any]) -> None:
        self.proposer_version = payload.get("proposer", self.proposer_version)

    def _on_generation(self, event: Event, payload: dict[str, Any]) -> None:
        self.pool = []
        self.screened_count = 0

    def _on_proposed(self, event: Event, payload: dict[str, Any]) -> None:
        self.token_count += payload["token_count"]
        self.prompt_token_count += payload.get("prompt_tokens") or 0
        candidate = payload["candidate"]
        repairs = payload.get("repairs") or {}
        template = repairs.get("template") or payload.get("template") or ""
        if repairs:
            self.mended.add(repairs["broken"])
        self._spent(event.generation, template).token_count += payload["token_count"]
        if event.generation:
            self.written.append(
                Written(
                    event.generation, event.index, payload["prompt"], payload["reply"], candidate
                )
            )
        if candidate is not None and candidate not in self.programs:
            self.programs[candidate] = Program(
                candidate,
                event.generation,
                event.index,
                payload["operator"],
                tuple(payload["parents"]),
                template,
                payload["name"],
            )
            self.lines.setdefault(payload.get("canonical") or candidate, candidate)

    def _spent(self, generation: int, template: str) -> Spent:
        return self.spent.setdefault((generation, template), Spent())

    def _on_screened(self, event: Event, payload: dict[str, Any]) -> None:
        verdict = read_verdict({k: v for k, v in payload.items() if k != "known_graph"})
        assert isinstance(verdict, Screened)
        program = self.programs[payload["candidate"]]
        program.is_screened = True
        program.screened = self.verdicts[program.id] = verdict
        program.known_graph = payload["known_graph"]
        self.graphs.setdefault(payload["graph"], program.id)
        self.screened_count += 1

    def _on_rejected(self, event: Event, payload: dict[str, Any]) -> None:
        candidate = payload["candidate"]
        self.programs[candidate].is_screened = True
        self.verdicts[candidate] = read_verdict(payload)

    def _on_duplicate(self, event: Event, payload: dict[str, Any]) -> None:
        program = self.programs[payload["candidate"]]
        known = self.programs.get(payload.get("of") or "")
        if known is None or program.is_screened:
            return
        program.is_screened = known.is_screened
        program.screened = known.screened
        program.known_graph = known.known_graph or known.id
        if known.id in self.verdicts:
            self.verdicts[program.id] = self.verdicts[known.id]

    def _on_scored(self, event: Event, payload: dict[str, Any]) -> None:
        fields = {k: v for k, v in payload.items() if k != "candidate"}
        self.programs[payload["candidate"]].score = Score(**fields)
        self.pool.append(payload["candidate"])

    def _on_chosen(self, event: Event, payload: dict[str, Any]) -> None:
        self.programs[payload["candidate"]].why = payload["why"]

    def _on_trained(self, event: Event, payload: dict[str, Any]) -> None:
        program = self.programs[payload["candidate"]]
        program.accuracy = payload["accuracy"]
        program.steps = payload["steps"]
        program.weights_path = payload["weights_path"]
        self.results[payload["graph"], payload["recipe"], payload["seed"]] = program.id
        self.trained_count += not program.is_seed

    def _on_archived(self, event: Event, payload: dict[str, Any]) -> None:
        program = self.programs[payload["candidate"]]
        entered = payload["status"] != "kept"
        self._spent(program.generation, program.template).entered_count += entered

    def _on_known(self, event: Event, payload: dict[str, Any]) -> None:
        program = self.programs[payload["candidate"]]
        program.accuracy = payload["accuracy"]
        program.steps = self.programs[payload["from"]].steps
        program.weights_path = payload["weights_path"]
        self.cache_hits += 1

    def _on_rewritten(self, event: Event, payload: dict[str, Any]) -> None:
        self.rewritten[payload["graph"]] = payload["source"]
        if payload["source"] is not None:
            self.lines.setdefault(payload["canonical"], payload["candidate"])

    def shown(self, candidate: str) -> str:
        """Return the id of the source that stands for a program in prompts."""
        program = self.programs.get(candidate)
        graph = program.screened.graph if program and program.screened else ""
        return self.rewritten.get(graph) or candidate

    def _on_predictor(self, event: Event, payload: dict[str, Any]) -> None:
        self.predictor_version = payload["version"]
        self.judge = payload["judge"]

    def _on_proposer(self, event: Event, payload: dict[str, Any]) -> None:
        self.proposer_version = payload["serving"]
        self.token_count += payload["token_count"]
        self.prompt_token_count += payload.get("prompt_tokens") or 0
        for candidate, verdict in payload.get("sampled", {}).items():
            self.verdicts.setdefault(candidate, read_verdict(verdict))

    def trained(self) -> list[Program]:
        """Return every program with a measured accuracy, in the order of proposing."""
        known = [p for p in self.programs.values() if p.accuracy is not None]
        return sorted(known, key=lambda p: (p.generation, p.index))

    def audit_pairs(self) -> list[AuditPair]:
        """Return belief and measurement of every trained child, in the order of proposing."""
        pairs: list[AuditPair] = []
        for program in self.trained():
            score, accuracy = program.score, program.accuracy
            if score and program.screened and accuracy is not None:
                pairs.append(
                    AuditPair(
                        score.mean,
                        program.screened.parameters,
                        program.screened.macs,
                        accuracy,
                        program.why == "reserve",
                        score.holds(accuracy),
                    )
                )
        return pairs


def read_verdict(fields: dict[str, Any]) -> Screened | Rejected:
    """Return what the screen said, from the payload of its event."""
    if "reason" in fields:
        return Rejected(Stage(fields["stage"]), Reason(fields["reason"]), fields["detail"])
    return Screened(**{**fields, "adapted": tuple(fields["adapted"])})
