"""The gate: a predictor that learned nonsense loses its say, and the report says so."""

from dataclasses import replace

import numpy as np

from evoprompt.config import Budget, smoke
from evoprompt.view.report import write_report
from surrogate import Surrogate, tune
from tests.whole.searching import run_search


def test_with_shuffled_labels_the_prior_takes_over(tmp_path, monkeypatch):
    """The labels are shuffled so that the worst network gets the best one's, and so on."""
    honest = Surrogate.fit

    def sabotaged(self, texts, accuracies, **spaces):
        order = np.argsort(accuracies)
        shuffled = np.empty(len(order))
        shuffled[order] = np.asarray(accuracies)[order[::-1]]
        return honest(self, texts, shuffled.tolist(), **spaces)

    monkeypatch.setattr(Surrogate, "fit", sabotaged)
    monkeypatch.setattr(tune, "FEWEST", 6)  # else the prior would speak for the predictor anyway
    base = smoke()
    settings = replace(
        base,
        choose=replace(base.choose, trained_per_generation=6, max_rounds=3),
        learn=replace(base.learn, steps=0),
        budget=Budget(generations=4),
    )
    folder = tmp_path / "sabotaged"
    events = run_search(folder, settings)
    audits = [event.payload for event in events if event.kind == "predictor"]
    assert audits[-1]["tau_predictor"] < audits[-1]["tau_prior"]
    assert audits[-1]["judge"] == "prior"
    judged = [e.payload["why"] for e in events if e.kind == "chosen" and e.generation == 4]
    assert "prior" in judged
    assert "predictor" not in judged
    assert '<td class="left">prior</td>' in write_report(folder, events).read_text()
