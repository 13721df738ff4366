"""The tuning benchmark trains a graph once, counts what it says, and goes on where it stopped."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tuning
from tuning_figures import Proposal, Sums, difference, sums, table
from tuning_store import Store

from evoprompt.config import Budget, FinalSettings, smoke
from evoprompt.errors import ConfigError
from evoprompt.steps.ledgers import read_run
from tests.whole.searching import run_search


def cells(values):
    return Sums(np.array(values, float), np.ones_like(np.array(values, float)))


def test_a_clear_gain_leaves_zero_outside_the_interval_and_noise_does_not():
    rng = np.random.default_rng(0)
    frozen = cells(rng.normal(0.2, 0.1, (5, 64)))
    better = cells(rng.normal(0.3, 0.1, (5, 64)))
    same = cells(rng.normal(0.2, 0.1, (5, 64)))
    low, middle, high = difference(better, frozen, 500)
    assert 0.05 < low < middle < high < 0.15
    low, middle, high = difference(same, frozen, 500)
    assert low < 0 < high


def test_a_gain_of_one_seed_alone_is_not_believed():
    frozen, tuned = np.zeros((5, 64)), np.zeros((5, 64))
    tuned[0] = 1.0
    low, middle, _ = difference(cells(tuned), cells(frozen), 500)
    assert middle == pytest.approx(0.2)
    assert low == 0.0


def test_proposals_count_by_number_and_not_by_parent():
    written = [
        Proposal("dpo", 0, 0, 1.0, 10, True, True, True),
        Proposal("dpo", 0, 1, 0.0, 10, False, False, None),
        Proposal("dpo", 0, 1, 0.0, 20, True, False, False),
        Proposal("frozen", 0, 0, 0.5, 10, True, True, None),
    ]
    found = sums(written, "dpo", 1, 2)
    assert found.gain_SP.tolist() == [[1.0, 0.0]]
    assert found.count_SP.tolist() == [[1.0, 2.0]]
    _, middle, _ = difference(found, sums(written, "frozen", 1, 2), 50)
    assert middle == pytest.approx(1 / 3 - 0.5)
    row = table(written, ["dpo"])[0]
    assert (row["proposals"], row["tokens"], row["gain"]) == (3, 40, pytest.approx(1 / 3))
    assert (row["valid"], row["new"], row["obeys"]) == pytest.approx((2 / 3, 1 / 3, 0.5))
    assert row["gain_per_1000_tokens"] == pytest.approx(25.0)


def test_a_line_cut_off_by_a_kill_is_made_again(tmp_path):
    store = Store(tmp_path, {"tokens": 1})
    store.add_training({"graph": "a", "accuracy": 0.5})
    store.add_training({"graph": "b", "accuracy": 0.6})
    path = tmp_path / "trainings.jsonl"
    path.write_text(path.read_text()[:-4])
    again = Store(tmp_path, {"tokens": 1})
    assert set(again.trainings) == {"a"}
    again.add_training({"graph": "b", "accuracy": 0.7})
    assert Store(tmp_path, {"tokens": 1}).trainings["b"]["accuracy"] == 0.7


def test_results_of_other_settings_are_not_taken(tmp_path):
    Store(tmp_path, {"tokens": 64, "runs": ["a"]})
    with pytest.raises(ConfigError, match=r"other settings \(tokens\).*--out"):
        Store(tmp_path, {"tokens": 32, "runs": ["a"]})


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """A real, tiny run whose proposer was left as it is."""
    base = smoke()
    settings = replace(
        base,
        budget=Budget(generations=1),
        final=FinalSettings(winners=1, seeds=1),
        control="frozen-proposer",
        proposer=replace(base.proposer, prompts_per_round=4),
    )
    folder = tmp_path_factory.mktemp("runs") / "ledger"
    run_search(folder, settings)
    return folder


def arguments(ledger, out, *more):
    words = ["--runs", str(ledger), "--out", str(out), "--seeds", "2", "--parents", "3"]
    return [*words, "--tokens", "20", "--steps", "2", "--resamples", "50", *more]


def test_the_whole_benchmark_runs_and_goes_on_where_it_stopped(ledger, tmp_path, capsys):
    out = tmp_path / "out"
    tuning.main(arguments(ledger, out, "--methods", "dpo"))
    first = json.loads(capsys.readouterr().out.splitlines()[-1])
    trained = (out / "trainings.jsonl").read_text().splitlines()
    graphs = [json.loads(line)["graph"] for line in trained]
    assert len(graphs) == len(set(graphs)) == first["trained_graphs"]
    low, _, high = first["gain"]["dpo"]
    assert low <= high
    tuning.main(arguments(ledger, out, "--methods", "dpo", "soft_prompt", "sft"))
    captured = capsys.readouterr()
    second = json.loads(captured.out.splitlines()[-1])
    assert set(second["gain"]) == {"dpo", "soft_prompt", "sft"}
    assert second["gain"]["dpo"] == first["gain"]["dpo"]
    assert "parents" in captured.err
    assert trained == (out / "trainings.jsonl").read_text().splitlines()[: len(trained)]
    check_what_counts(ledger, out)


def check_what_counts(ledger, out):
    past = read_run(ledger)
    store = Store(out, json.loads((out / "facts.json").read_text()))
    for seed in (0, 1):
        parents = store.parents[seed]["parents"]
        assert len(parents) == 3
        assert not {parent["graph"] for parent in parents} & past.graphs
        spent = {}
        for method in ("frozen", "dpo", "sft", "soft_prompt"):
            rows = store.children[seed, method]["rows"]
            spent[method] = sum(row["tokens"] for row in rows)
            assert spent[method] >= 60
            assert spent[method] - rows[-1]["tokens"] < 60
            for proposal, row in zip(tuning.judged(store, past, seed, method), rows, strict=True):
                assert proposal.gain >= 0
                if proposal.gain > 0:
                    assert proposal.is_new
                    assert row["graph"] not in past.graphs
                    assert row["graph"] != parents[row["parent"]]["graph"]


def test_runs_that_do_not_exist_are_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        tuning.main(arguments(tmp_path / "no-run", tmp_path / "out"))
    assert "no ledger at" in capsys.readouterr().err
