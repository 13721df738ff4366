"""The predictor's benchmark compares like with like, and goes on where it stopped."""

import os
from pathlib import Path

import nb201
import numpy as np
import predictor_jobs
import pytest
from predictor_baselines import ROWS
from predictor_report import bootstrap_gain, figures, top_overlap
from predictor_space import Space, drawn, nb201_sides
from predictor_store import Answer, Key, Store, fingerprint

KEY = Key("nb201", "proxies+graph", 50, 3)


def cell(number: int, graph_class: str) -> nb201.Cell:
    return nb201.Cell(f"cell {number}", "", graph_class, 0.5, (), 1, 1)


def chain(depth: int, width: int) -> str:
    lines = [f"NET 3x8x8>10\nConv k3 3>{width} nobias @{width}x8x8"]
    lines += [f"Relu @{width}x8x8\nConv k3 {width}>{width} nobias @{width}x8x8"] * depth
    lines += [f"ReduceMean a2x3 @{width}x1x1\nView @{width}\nLinear {width}>10 @10"]
    return "\n".join(lines)


def space_of_chains() -> Space:
    sizes = [(depth, width) for depth in range(1, 11) for width in range(2, 14)]
    texts = tuple(chain(*size) for size in sizes)
    accuracies = np.array([depth / 20 + width / 1000 for depth, width in sizes])
    parameters = np.array([depth * width**2 for depth, width in sizes], float)
    proxies = accuracies[:, None] * [1.0, -2.0]
    return Space("chains", texts, accuracies, parameters, 64 * parameters, texts, proxies)


@pytest.mark.parametrize("is_choosing", [False, True])
def test_no_graph_class_stands_on_both_sides(
    is_choosing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("predictor_space.TEST_CELLS", 50)
    cells = [cell(i, f"class {i // 3}") for i in range(300)]
    test, pool = nb201_sides(cells, is_choosing)
    assert 50 <= len(test) < 53
    assert not {cells[i].graph_class for i in test} & {cells[i].graph_class for i in pool}


def test_settings_are_chosen_without_any_test_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("predictor_space.TEST_CELLS", 50)
    cells = [cell(i, f"class {i // 3}") for i in range(300)]
    test, _ = nb201_sides(cells, is_choosing=False)
    assert not set(test) & set(np.concatenate(nb201_sides(cells, is_choosing=True)))


def test_the_split_does_not_depend_on_the_order_of_the_table() -> None:
    cells = [cell(i, f"class {i // 3}") for i in range(300)]
    test, _ = nb201.split(cells, 50)
    turned, _ = nb201.split(cells[::-1], 50)
    assert {cells[i].name for i in test} == {cells[::-1][i].name for i in turned}


def test_a_larger_draw_holds_the_smaller_one_and_draws_differ() -> None:
    pool = np.arange(1000, 3000)
    assert set(drawn(pool, 50, 2)) < set(drawn(pool, 500, 2)) <= set(pool)
    assert set(drawn(pool, 50, 2)) != set(drawn(pool, 50, 3))


def test_rows_learn_an_order_that_their_columns_tell() -> None:
    space = space_of_chains()
    order = np.random.default_rng(0).permutation(len(space.texts))
    train, test = order[:80], order[80:]
    for name, row in ROWS.items():
        tau = figures(Answer(row(space, train, test, 0)), space.accuracies[test])["tau"]
        assert tau is not None
        assert tau > (0.4 if name == "prior" else 0.6), name


def test_labels_of_tested_networks_make_no_difference() -> None:
    space = space_of_chains()
    train, test = np.arange(0, 120, 2), np.arange(1, 120, 2)
    hidden = space.accuracies.copy()
    hidden[test] = np.nan
    blind = Space(**(vars(space) | {"accuracies": hidden}))
    for row in ROWS.values():
        assert (row(space, train, test, 0) == row(blind, train, test, 0)).all()


def test_a_result_is_found_again_unless_its_code_changed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    low, high = np.array([0.25, 0.5]), np.array([0.75, 1.0])
    store.add(KEY, Answer(np.array([0.5, 0.75]), low, high), {"tau": 1.0, "made_by": "a"})
    again = Store(tmp_path)
    assert again.has(KEY, "a")
    assert not again.has(KEY, "b")
    assert again.answer(KEY).high is not None
    assert (again.answer(KEY).mean == [0.5, 0.75]).all()


def test_a_line_cut_off_by_a_kill_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(KEY, Answer(np.zeros(2)), {"tau": 0.0, "made_by": "a"})
    other = Key("nb201", "wl", 50, 0)
    store.add(other, Answer(np.zeros(2)), {"tau": 0.0, "made_by": "a"})
    path = tmp_path / "results.jsonl"
    path.write_text(path.read_text()[:-20])
    again = Store(tmp_path)
    assert again.has(KEY, "a")
    assert not again.has(other, "a")
    again.add(other, Answer(np.zeros(2)), {"tau": 0.5, "made_by": "a"})
    assert Store(tmp_path).lines[other]["tau"] == 0.5


def test_comments_do_not_make_results_out_of_date(tmp_path: Path) -> None:
    module = tmp_path / "row.py"
    module.write_text("RATE = 1\n")
    first = fingerprint([module], ["text"])
    module.write_text("# why\nRATE  =  1\n")
    assert fingerprint([module], ["text"]) == first
    assert fingerprint([module], ["other text"]) != first
    module.write_text("RATE = 2\n")
    assert fingerprint([module], ["text"]) != first


def test_the_bootstrap_sees_a_real_gain_and_no_gain() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=300)
    classes = [f"class {i // 2}" for i in range(300)]
    good = [true + rng.normal(0, 0.3, 300) for _ in range(3)]
    bad = [true + rng.normal(0, 1.0, 300) for _ in range(3)]
    low, high = bootstrap_gain(good, bad, true, classes, resamples=60)
    assert 0.1 < low < high
    assert bootstrap_gain(good, good, true, classes, resamples=20) == (0.0, 0.0)


def test_figures_count_what_lies_inside_and_the_best_tenth() -> None:
    true = np.arange(20) / 20
    answer = Answer(true[::-1], true - 0.1, np.where(true < 0.5, true - 0.01, true + 0.1))
    found = figures(answer, true)
    assert found["tau"] == pytest.approx(-1)
    assert found["coverage"] == pytest.approx(0.5)
    assert found["top10"] == 0.0
    assert top_overlap(true, true) == 1.0


def test_every_row_of_the_benchmark_can_be_asked_for() -> None:
    rows = {row for rows in predictor_jobs.ROWS.values() for row in rows}
    named = {"scratch", "shipped", *predictor_jobs.TAUGHT}
    assert rows == {*predictor_jobs.BASELINES, *named}


TABLE = os.environ.get("NB201_TABLE", "")


@pytest.mark.skipif(not Path(TABLE).is_file(), reason="NB201_TABLE does not name the table")
def test_programs_have_the_parameters_that_the_table_says(tmp_path: Path) -> None:
    from evoprompt.config import ScreenSettings
    from evoprompt.screen import Screener
    from surrogate.encode import read

    rows = nb201.read_table(Path(TABLE))[::1200]
    screener = Screener(ScreenSettings(workers=1), nb201.SHAPE, tmp_path)
    (tmp_path / "graphs").mkdir()
    try:
        screener.screen_all([nb201.program(row["cell"]) for row in rows])
    finally:
        screener.close()
    for row in rows:
        graph = read(nb201.graph_path(tmp_path, row["cell"]))
        assert graph.parameters == round(float(row["params"]) * 1e6), row["cell"]
