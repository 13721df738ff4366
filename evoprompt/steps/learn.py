"""results -> a better predictor, and who chooses from now on: the predictor or the prior.

The predictor is refit on every result of the run and audited on what it said before each training;
while it ranks worse than the prior, the prior chooses. The proposer's part is in `tune_proposer`.
"""

import time
from pathlib import Path

import numpy as np

from evoprompt.errors import ModelError, StorageError
from evoprompt.ledger import Json, clock_fields
from evoprompt.state import AuditPair
from evoprompt.steps.run import Made, Run
from surrogate import Surrogate, kendall_tau, prior_ranks
from surrogate.errors import SurrogateError


def learn_predictor(run: Run, generation: int) -> None:
    """Refit the predictor on all results, audit it, and say who chooses from now on."""
    version = f"v{generation + 1:03d}"
    folder = run.folder / "predictor" / version

    def make() -> Made:
        started = time.monotonic()
        fitted = fit_predictor(run)
        try:
            fitted.save(folder)
        except SurrogateError as error:  # its own word for a disk that is full or not writable
            raise StorageError(str(error)) from error
        members = {m.name: {"tau": m.tau, "weight": m.weight} for m in fitted.members}
        payload: Json = {
            "version": version,
            "label_count": fitted.label_count,
            "members": members,
            **audit(run),
        }
        return "predictor", payload, clock_fields({"seconds": time.monotonic() - started})

    run.once(generation, "learn", 0, make)
    run.surrogate = load_predictor(folder)


def fit_predictor(run: Run) -> Surrogate:
    """Return a predictor that has learned from every result of the run and from nothing else.

    Task and steps stand beside each label. All of a run's are the same, so whoever asks the
    predictor without naming a task asks for this one.
    """
    trained = [(p, p.screened, p.accuracy) for p in run.state.trained()]
    labels = [(f.text, a, p.steps) for p, f, a in trained if f is not None and a is not None]
    return run.surrogate.fit(
        [text for text, _, _ in labels],
        [accuracy for _, accuracy, _ in labels],
        tasks=[run.shape.word] * len(labels),
        fidelities=[steps for _, _, steps in labels],
    )


def load_predictor(folder: Path | None) -> Surrogate:
    """Return the predictor of a folder; None is the built-in one.

    Raises:
        ModelError: Missing, truncated, pickled, or of another version.
    """
    try:
        return Surrogate.load(folder, one_by_one=True)  # the same bits, whoever is asked beside it
    except SurrogateError as error:
        raise ModelError(str(error)) from error


def audit(run: Run) -> Json:
    """Compare predictor and prior on every trained child, and on the random reserve alone.

    Both scores are fixed before the training: the predictor's was recorded, the prior's follows
    from the recorded parameters and MACs. So is the predictor's interval.
    """
    pairs = run.state.audit_pairs()
    reserve = [pair for pair in pairs if pair.is_reserve]
    predictor, prior = _taus(pairs)
    predictor_reserve, prior_reserve = _taus(reserve)
    judge = "predictor"
    if run.settings.control == "no-predictor":
        judge = "random"
    elif len(pairs) >= run.settings.surrogate.audit_count and predictor < prior:
        judge = "prior"
    intervals, held = _held(pairs)
    intervals_reserve, held_reserve = _held(reserve)
    return {
        "pairs": len(pairs),
        "reserve_pairs": len(reserve),
        "tau_predictor": predictor,
        "tau_prior": prior,
        "tau_predictor_reserve": predictor_reserve,
        "tau_prior_reserve": prior_reserve,
        "interval_count": intervals,
        "held_count": held,
        "interval_count_reserve": intervals_reserve,
        "held_count_reserve": held_reserve,
        "judge": judge,
    }


def _taus(pairs: list[AuditPair]) -> tuple[float, float]:
    accuracies = np.array([pair.accuracy for pair in pairs])
    parameters = np.array([pair.parameters for pair in pairs])
    priors = prior_ranks(parameters, np.array([pair.macs for pair in pairs]))
    believed = kendall_tau(np.array([pair.mean for pair in pairs]), accuracies)
    return round(believed, 6), round(kendall_tau(priors, accuracies), 6)


def _held(pairs: list[AuditPair]) -> tuple[int, int]:
    """How many intervals were recorded, and how many of them held the accuracy."""
    known = [pair.is_held for pair in pairs if pair.is_held is not None]
    return len(known), sum(known)
