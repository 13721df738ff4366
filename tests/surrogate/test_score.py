"""The predictor: what it learns from few labels, how sure it is, and that files keep it exactly."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from surrogate.base import raw_vectors
from surrogate.errors import SurrogateError, TooLongError
from surrogate.features import NO_ROW
from surrogate.graph_features import FEATURES
from surrogate.model import Encoder, EncoderSettings, collate, head_bias
from surrogate.pretrain import pretrain
from surrogate.rank import kendall_tau, prior_ranks
from surrogate.reading import reading
from surrogate.score import Surrogate
from surrogate.tune import FEWEST


def text(width: int, layers: int = 2, kernel: int = 3, act: str = "Relu") -> str:
    """A plain 1-D CNN as text."""
    lines = ["NET 1x40>10", f"Conv k{kernel} 1>{width} IN @{width}x40", f"{act} @{width}x40"]
    for _ in range(layers):
        lines += [f"Conv k{kernel} {width}>{width} @{width}x40", f"{act} @{width}x40"]
    return "\n".join([*lines, f"ReduceMean a2 @{width}", f"Linear {width}>10 @10"])


def family(count: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Networks whose accuracy grows with depth and falls with width: against the prior."""
    rng = np.random.default_rng(seed)
    widths, layers = rng.integers(4, 64, count), rng.integers(1, 9, count)
    texts = [text(int(w), int(n)) for w, n in zip(widths, layers, strict=True)]
    return texts, 0.6 + 0.03 * layers - 0.05 * np.log2(widths / 16)


@pytest.fixture(scope="module")
def builtin() -> Surrogate:
    return Surrogate.load(one_by_one=True)  # answers of other batches differ in the last bits


def test_without_labels_size_speaks_and_the_spread_says_that_nobody_knows(
    builtin: Surrogate,
) -> None:
    mean, spread = builtin.score([text(8), text(16), text(64)])
    assert (np.diff(mean) > 0).all()
    assert (spread > 0.12).all()
    low, high = builtin.interval([text(8)])
    assert high[0] - low[0] > 0.5
    assert builtin.score([])[0].shape == (0,)
    assert [m.weight for m in builtin.members if m.name == "prior"] == [1.0]
    assert builtin.held_out() is None


@pytest.mark.parametrize("count", [1, 2, 5, FEWEST - 1])
def test_with_few_labels_the_prior_speaks(builtin: Surrogate, count: int) -> None:
    texts, accuracies = family(count)
    fitted = builtin.fit(texts, list(accuracies))
    mean, spread = fitted.score([text(4), text(8), text(16), text(64)])
    assert (np.diff(mean) >= 0).all()
    assert (spread > 0).all()
    assert {m.name: m.weight for m in fitted.members} == {"prior": 1, "trees": 0, "process": 0}


@pytest.mark.parametrize(("count", "least"), [(24, 0.5), (60, 0.7), (160, 0.85)])
def test_it_learns_a_trend_against_the_prior(builtin: Surrogate, count: int, least: float) -> None:
    texts, accuracies = family(count + 100)
    fitted = builtin.fit(texts[:count], list(accuracies[:count]))
    mean, spread = fitted.score(texts[count:])
    assert kendall_tau(mean, accuracies[count:]) > least
    assert ((mean >= 0) & (mean <= 1) & (spread > 0)).all()
    weights = [member.weight for member in fitted.members]
    assert sum(weights) == pytest.approx(1)
    assert weights[0] < 0.5


def test_shuffled_labels_are_found_out(builtin: Surrogate) -> None:
    """What members say of labels that they have not seen is no better than chance."""
    texts, accuracies = family(60)
    shuffled = np.random.default_rng(0).permutation(accuracies)
    fitted = builtin.fit(texts, list(shuffled))
    assert all(member.tau < 0.25 for member in fitted.members)


def test_intervals_hold_what_they_promise(builtin: Surrogate) -> None:
    texts, accuracies = family(700)
    rng = np.random.default_rng(1)
    noisy = np.clip(accuracies + 0.03 * rng.standard_normal(len(texts)), 0, 1)
    fitted = builtin.fit(texts[:200], list(noisy[:200]))
    for level in (0.5, 0.9):
        low, high = fitted.interval(texts[200:], level)
        inside = ((low <= noisy[200:]) & (noisy[200:] <= high)).mean()
        assert inside == pytest.approx(level, abs=0.07)
    held = fitted.held_out()
    assert held is not None
    inside = ((held.low <= held.accuracy) & (held.accuracy <= held.high)).mean()
    assert inside == pytest.approx(0.9, abs=0.05)


def test_with_few_labels_an_interval_spares_none_of_their_errors(builtin: Surrogate) -> None:
    """Kernels and blend were chosen with these labels, so their errors are a little too small."""
    measured = dict(zip(*family(30), strict=True))
    texts, accuracies = zip(*list(measured.items())[:20], strict=True)
    noisy = np.array(accuracies) + 0.05 * np.random.default_rng(3).standard_normal(20)
    held = builtin.fit(texts, np.clip(noisy, 0, 1).tolist()).held_out()
    assert held is not None
    assert ((held.low <= held.accuracy + 1e-9) & (held.accuracy <= held.high + 1e-9)).all()


def test_the_level_widens_intervals_and_changes_nothing_else(builtin: Surrogate) -> None:
    texts, accuracies = family(60)
    fitted = builtin.fit(texts[:40], list(accuracies[:40]))
    half, most = (fitted.predict(texts[40:], level) for level in (0.5, 0.9))
    np.testing.assert_array_equal(half[:2], most[:2])
    assert ((most.low < half.low) & (half.low < half.high) & (half.high < most.high)).all()
    np.testing.assert_array_equal(half[2:], fitted.interval(texts[40:], 0.5))
    assert [len(each) for each in fitted.predict([])] == [0, 0, 0, 0]


def test_two_tasks_are_learned_together_each_on_its_scale(builtin: Surrogate) -> None:
    """Labels of an easy task help with the order on a hard one, and shift no accuracy."""
    texts, accuracies = family(260)
    hard = accuracies * 0.3
    tasks = ["easy"] * 120 + ["hard"] * 12
    both = [*accuracies[:120], *hard[120:132]]
    together = builtin.fit(texts[:132], both, tasks=tasks)
    alone = builtin.fit(texts[120:132], list(hard[120:132]))
    mean, _ = together.score(texts[140:], task="hard")
    assert kendall_tau(mean, hard[140:]) > kendall_tau(alone.score(texts[140:])[0], hard[140:])
    assert np.abs(mean - hard[140:]).mean() < 0.05
    assert np.abs(together.score(texts[140:], task="easy")[0] - accuracies[140:]).mean() < 0.1


def test_fidelities_are_told_apart(builtin: Surrogate) -> None:
    texts, accuracies = family(120)
    short, long = accuracies[:60] * 0.5, accuracies[40:80]
    fitted = builtin.fit(
        [*texts[:60], *texts[40:80]], [*short, *long], fidelities=[100.0] * 60 + [1000.0] * 40
    )
    mean, _ = fitted.score(texts[80:], fidelity=1000.0)
    assert np.abs(mean - accuracies[80:]).mean() < 0.06
    mean, _ = fitted.score(texts[80:], fidelity=100.0)
    assert np.abs(mean - accuracies[80:] * 0.5).mean() < 0.06


def test_the_noise_of_repeated_trainings_is_estimated_and_used(builtin: Surrogate) -> None:
    known = dict(zip(*family(60), strict=True))
    texts, accuracies = list(known), list(known.values())
    rng = np.random.default_rng(0)
    noisy = [float(a + 0.05 * rng.standard_normal()) for _ in range(3) for a in accuracies]
    fitted = builtin.fit(texts * 3, noisy)
    assert fitted.noise == pytest.approx(0.05, rel=0.3)
    quiet = builtin.fit(texts * 3, accuracies * 3)
    assert quiet.noise == pytest.approx(0, abs=1e-9)
    assert quiet.score(texts)[1].mean() < fitted.score(texts)[1].mean()
    assert np.isnan(builtin.fit(texts, accuracies).noise)


def test_it_is_less_sure_far_from_its_labels(builtin: Surrogate) -> None:
    texts = [text(width, layers) for width in range(8, 20) for layers in (2, 3)]
    fitted = builtin.fit(texts, list(np.linspace(0.6, 0.7, 24)))
    near, far = [text(14, 2)], ["\n".join(odd_lines())]
    low, high = fitted.interval([*near, *far])
    assert high[1] - low[1] > 1.3 * (high[0] - low[0])


def odd_lines() -> list[str]:
    """A recurrent network, unlike every convolution."""
    lines = ["NET 1x40>10", "Transpose a1x0 IN @40x1", "GRU 1>64 bi @40x128", "Gelu @40x128"]
    return [
        *lines,
        "ReduceMax a1 @128",
        "Linear 128>256 @256",
        "Softmax a1 @256",
        "Linear 256>10 @10",
    ]


def test_failed_trainings_are_survived(builtin: Surrogate) -> None:
    texts, accuracies = family(30)
    fitted = builtin.fit(texts, [*accuracies[:-3], 0.1, 0.0, 1.0])
    mean, spread = fitted.score(texts)
    assert np.isfinite(mean).all()
    assert np.isfinite(spread).all()
    same = builtin.fit(texts, [0.5] * 30)
    assert np.isfinite(same.score(texts)[0]).all()


def test_the_same_labels_give_the_same_answers_to_the_bit(builtin: Surrogate) -> None:
    texts, accuracies = family(50)
    first = builtin.fit(texts[:30], list(accuracies[:30]))
    second = Surrogate.load(one_by_one=True).fit(texts[:30], list(accuracies[:30]))
    for a, b in zip(first.score(texts), second.score(texts), strict=True):
        assert a.tobytes() == b.tobytes()
    assert first.version == second.version != builtin.version


def test_one_at_a_time_the_company_does_not_matter() -> None:
    """A resumed search asks for other batches and must get the same bits."""
    texts, accuracies = family(60)
    fitted = [
        Surrogate.load(one_by_one=True).fit(texts[:30], list(accuracies[:30])) for _ in range(2)
    ]
    together = fitted[0].score(texts)[0]
    fitted[1].score(texts[55:])
    alone = np.concatenate([fitted[1].score(texts[:50])[0], fitted[1].score(texts[50:])[0]])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-12)


def test_saving_and_loading_keeps_every_answer(builtin: Surrogate, tmp_path: Path) -> None:
    texts, accuracies = family(60)
    fitted = builtin.fit(texts[:40], list(accuracies[:40]))
    fitted.save(tmp_path / "v001")
    loaded = Surrogate.load(tmp_path / "v001", one_by_one=True)
    for a, b in zip(fitted.score(texts), loaded.score(texts), strict=True):
        assert a.tobytes() == b.tobytes()
    assert loaded.version == fitted.version
    assert loaded.label_count == 40
    assert sorted(p.name for p in (tmp_path / "v001").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


@pytest.mark.parametrize(
    ("accuracies", "message"),
    [([0.5], "2 texts and 1"), ([0.5, float("nan")], "not a number"), ([50.0, 60.0], "50 to 60")],
)
def test_labels_that_are_none_are_refused(
    builtin: Surrogate, accuracies: list[float], message: str
) -> None:
    with pytest.raises(SurrogateError, match=message):
        builtin.fit([text(8), text(16)], accuracies)


def spoil(folder: Path, case: str) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    match case:
        case "missing weights":
            weights.unlink()
        case "missing configuration":
            config.unlink()
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:1000])
        case "pickled":
            torch.save({"a": torch.zeros(2)}, weights)
        case "not JSON":
            config.write_text("{")
        case "half of the labels":
            full = json.loads(config.read_text())
            full["learned"]["accuracies"] = [0.5]
            config.write_text(json.dumps(full))
        case _:
            key = "text" if case == "another text version" else "format"
            config.write_text(json.dumps({**json.loads(config.read_text()), key: 99}))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("missing weights", "not readable"),
        ("missing configuration", "not readable"),
        ("truncated", "truncated"),
        ("pickled", "a pickle"),
        ("not JSON", "not JSON"),
        ("half of the labels", "do not fit"),
        ("another version", "format version 99"),
        ("another text version", "text version 99"),
    ],
)
def test_a_spoiled_folder_is_named(
    builtin: Surrogate, tmp_path: Path, case: str, message: str
) -> None:
    builtin.save(tmp_path)
    spoil(tmp_path, case)
    with pytest.raises(SurrogateError, match=message) as caught:
        Surrogate.load(tmp_path)
    assert "Expected" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_malformed_text_is_named(builtin: Surrogate) -> None:
    for bad in ("", "hello", "NET 1x40>10\nConv k3", "NET 1x40>10\nAdd ^9 ^1 @8", "NET ?>1\nA @1"):
        with pytest.raises(SurrogateError, match="not a graph text"):
            builtin.score([bad])


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize("line", ["Conv k{} 1>8 @8x40", "Conv k3 1>{} @8x40", "Relu @{}x40"])
def test_a_text_with_an_absurd_size_is_refused(builtin: Surrogate, line: str, digits: int) -> None:
    absurd = "\n".join(["NET 1x40>10", line.format("9" * digits), "Linear 8>10 @10"])
    with pytest.raises(SurrogateError, match="size of hundreds of digits"):
        builtin.score([absurd])


def test_heads_see_what_their_kind_allows() -> None:
    rows = ["NET 1x40>10", "Conv k3 1>8 IN @8x40", "Conv k3 8>8 @8x40", "Add ^1 ^2 @8x40"]
    net = "\n".join([*rows, "Linear 8>10 @10"])
    may = head_bias(collate([reading(net).positions]), heads=8)[0] == 0
    reads, read_by, before, behind, free = (may[head, :6, :6] for head in (0, 1, 4, 5, 7))
    assert reads[4].nonzero().flatten().tolist() == [2, 3, 4]  # Add reads both Convs
    assert read_by[2].nonzero().flatten().tolist() == [2, 3, 4]  # the first Conv is read by both
    assert before[5].nonzero().flatten().tolist() == [1, 2, 3, 4, 5]  # Linear comes after all
    assert behind[1].nonzero().flatten().tolist() == [1, 2, 3, 4, 5]
    assert bool(free.all())
    assert not bool(may[:, :6, 6:].any())  # padding
    assert all(bool(each.diagonal().all()) for each in (reads, read_by, before, behind))


def test_light_lines_are_told_with_their_neighbour() -> None:
    rows = ["NET 1x40>10", "Conv k3 1>8 IN @8x40", "BatchNorm @8x40", "Relu @8x40"]
    rows += ["Relu @8x40", "Conv k3 8>8 @8x40", "Add ^1 ^2 @8x40", "Linear 8>10 @10"]
    found = reading("\n".join(rows)).positions
    assert len(found) == 5  # the input, Conv with BatchNorm and both Relus, Conv, Add, Linear
    merged = found.rows_LR[:, 2:] != NO_ROW
    assert merged[1].tolist() == [False, True, True, True]
    assert merged.sum() == 3


def test_vectors_do_not_depend_on_padding() -> None:
    torch.manual_seed(0)
    encoder = Encoder(EncoderSettings(width=32, layers=2, targets=3)).eval()
    graphs = [reading(each).positions for each in (text(8, 1), text(16, 9, act="Gelu"))]
    alone, together = raw_vectors([encoder], graphs[:1]), raw_vectors([encoder], graphs)
    np.testing.assert_allclose(alone[0], together[0], atol=1e-5)


def test_a_text_beyond_the_limit_is_refused_by_name(builtin: Surrogate) -> None:
    rows = [f"Conv k3 {i}>{i + 1} @{i + 1}x40" for i in range(1, 3000)]
    long = "\n".join(["NET 1x40>10", *rows, "ReduceMean a2 @3000", "Linear 3000>10 @10"])
    with pytest.raises(TooLongError, match=r"3002 lines.*2048"):
        builtin.score([long])


def test_pretraining_learns_sizes_without_labels() -> None:
    texts, _ = family(120)
    said: list[str] = []
    proxies = {"depth": np.array([t.count("Conv") for t in texts], float)}
    proxies["depth"][:10] = np.nan
    base = pretrain(texts, proxies, minutes=0.05, seed=0, report=said.append, encoders=2)
    assert np.isfinite(base.vectors(texts)).all()
    assert base.feature_spread.shape == (FEATURES,)
    assert len(base.encoders) == len(said) == 2
    assert "explains" in said[0]
    without = pretrain(
        texts, proxies, minutes=0.01, report=said.append, encoders=1, with_paths=False
    )
    asked = [each.encoders[0].settings.targets for each in (base, without)]
    assert asked[0] > asked[1] > len(proxies)


def test_prior_and_correlation_are_defined_everywhere() -> None:
    ranks = prior_ranks(np.log([10.0, 100.0, 1000.0]), np.log([5.0, 50.0, 20.0]))
    assert ranks.tolist() == [0.0, 0.75, 0.75]
    assert prior_ranks(np.array([1.0]), np.array([1.0])).tolist() == [0.5]
    assert prior_ranks(np.array([]), np.array([])).tolist() == []
    assert kendall_tau(np.array([1, 2, 3]), np.array([1, 2, 3])) == 1.0
    assert kendall_tau(np.array([1, 1]), np.array([1, 2])) == 0.0
    assert kendall_tau(np.array([1.0, np.nan, 2.0, 3.0]), np.array([3.0, 1.0, 2.0, 1.0])) == -1.0
    assert kendall_tau(np.array([]), np.array([])) == 0.0
