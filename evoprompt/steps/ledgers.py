"""What runs that have ended can teach: their siblings, read from their ledgers.

In: run folders. Out: a `PastRun` each, with the model that wrote it and whether its predictor had
earned a say. Nothing is written, and a run may still be under way.
"""

from dataclasses import dataclass
from pathlib import Path

from evoprompt.candidate import Screened, TaskShape
from evoprompt.config import SearchSettings
from evoprompt.errors import LedgerError
from evoprompt.learn.pairs import Sibling
from evoprompt.ledger import Ledger
from evoprompt.settings_file import from_dict
from evoprompt.state import State
from evoprompt.steps.lessons import has_earned, siblings_of


@dataclass(frozen=True)
class PastRun:
    """One run as a tuning sees it."""

    folder: Path
    settings: SearchSettings
    base: str | None
    """Fingerprint of the model that wrote the run; None where its ledger does not say."""
    shape: TaskShape
    siblings: list[Sibling]
    state: State

    @property
    def graphs(self) -> set[str]:
        """Every graph in the ledger: the seeds', the children's, and those written for a gate."""
        verdicts = self.state.verdicts.values()
        return {verdict.graph for verdict in verdicts if isinstance(verdict, Screened)}


def read_run(folder: Path) -> PastRun:
    """What one run holds.

    Raises:
        LedgerError: There is no run, it is half written, or it holds no replies of a model.
    """
    with Ledger(folder / "ledger.sqlite") as ledger:
        events = ledger.events()
    if not events or events[0].kind != "started":
        raise LedgerError(
            f"{folder} is half written: its ledger does not begin with the start of a search. "
            "Expected a run that has begun. Leave it out, or resume it first."
        )
    started = events[0].payload
    state = State()
    audit = None
    for event in events:
        state.apply(event)
        audit = event.payload if event.kind == "predictor" else audit
    where = f"{folder}/ledger.sqlite"
    settings = from_dict(started["settings"], SearchSettings(), where)
    task = started["task"]
    shape = TaskShape(task["name"], tuple(task["in_shape"]), task["num_classes"])
    earned = has_earned(audit, settings.surrogate.audit_count)
    siblings = siblings_of(state, shape.num_classes, earned)
    if not any(sibling.prompt_text for sibling in siblings):
        raise LedgerError(
            f"{folder}: no siblings; the run holds no replies to prompts. Expected a run of at "
            "least one generation with a language model. Leave it out, or resume it first."
        )
    return PastRun(folder, settings, started.get("base"), shape, siblings, state)
