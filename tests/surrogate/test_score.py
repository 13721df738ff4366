"""The predictor: what it learns from few labels, how sure it is, and that files keep it exactly."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from surrogate.errors import SurrogateError
from surrogate.features import graph_features
from surrogate.model import POSITION_LIMIT, Encoder, EncoderSettings, collate, embed, head_masks
from surrogate.parse import parse
from surrogate.pretrain import pretrain
from surrogate.rank import kendall_tau, prior_ranks
from surrogate.score import Surrogate


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
    return Surrogate.load()


def test_without_labels_it_says_that_it_does_not_know(builtin: Surrogate) -> None:
    mean, spread = builtin.score([text(8), text(16)])
    assert mean.tolist() == [0.5, 0.5]
    assert (spread > 0.2).all()
    two = builtin.fit([text(8), text(16)], [0.4, 0.6], seed=0)
    assert two.score([text(32)])[0].tolist() == [0.5]
    assert builtin.score([])[0].shape == (0,)


@pytest.mark.parametrize(("count", "least"), [(12, 0.4), (40, 0.7), (160, 0.85)])
def test_it_learns_a_trend_against_the_prior(builtin: Surrogate, count: int, least: float) -> None:
    texts, accuracies = family(count + 100)
    fitted = builtin.fit(texts[:count], list(accuracies[:count]), seed=0)
    mean, spread = fitted.score(texts[count:])
    assert kendall_tau(mean, accuracies[count:]) > least
    assert ((mean >= 0) & (mean <= 1) & (spread > 0)).all()


def test_few_labels_lean_on_the_prior(builtin: Surrogate) -> None:
    """Labels that say nothing about size leave the prior standing: larger is better."""
    fitted = builtin.fit([text(8), text(9), text(10)], [0.5, 0.5, 0.51], seed=0)
    mean, _ = fitted.score([text(4), text(8), text(16), text(64)])
    assert (np.diff(mean) > 0).all()


def test_it_is_less_sure_far_from_its_labels(builtin: Surrogate) -> None:
    texts = [text(width, 2) for width in range(8, 24)]
    fitted = builtin.fit(texts, list(np.linspace(0.6, 0.7, 16)), seed=0)
    _, spread = fitted.score([text(16, 2), text(200, 12, 7, "Gelu")])
    assert spread[1] > 1.5 * spread[0]


def test_repeated_labels_and_failed_trainings_are_survived(builtin: Surrogate) -> None:
    texts, accuracies = family(30)
    labels = [*accuracies[:-3], 0.1, 0.0, 1.0]
    fitted = builtin.fit(texts * 2, labels * 2, seed=0)
    mean, spread = fitted.score(texts)
    assert np.isfinite(mean).all()
    assert np.isfinite(spread).all()


def test_the_same_labels_give_the_same_answers_to_the_bit(builtin: Surrogate) -> None:
    texts, accuracies = family(50)
    first = builtin.fit(texts[:30], list(accuracies[:30]), seed=1)
    second = Surrogate.load().fit(texts[:30], list(accuracies[:30]), seed=1)
    for a, b in zip(first.score(texts), second.score(texts), strict=True):
        assert a.tobytes() == b.tobytes()
    assert first.version == second.version != builtin.version


def test_saving_and_loading_keeps_every_answer(builtin: Surrogate, tmp_path: Path) -> None:
    texts, accuracies = family(60)
    fitted = builtin.fit(texts[:40], list(accuracies[:40]), seed=3)
    fitted.save(tmp_path / "v001")
    loaded = Surrogate.load(tmp_path / "v001")
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
        builtin.fit([text(8), text(16)], accuracies, seed=0)


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
        case "no labels":
            config.write_text(json.dumps({**json.loads(config.read_text()), "labels": {}}))
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
        ("no labels", "labels are missing"),
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


def test_structured_heads_see_only_their_neighbours() -> None:
    net = "NET 1x40>10\nConv k3 1>8 IN @8x40\nRelu @8x40\nAdd ^1 ^2 @8x40\nLinear 8>10 @10"
    masks = head_masks(collate([parse(net)]), heads=8)[0]
    reads, read_by, free = masks[0], masks[2], masks[4]
    assert reads[4].nonzero().flatten().tolist() == [2, 3, 4]  # Add reads Conv and Relu
    assert read_by[2].nonzero().flatten().tolist() == [2, 3, 4]  # Conv is read by Relu and Add
    assert bool(free.all())
    assert bool(reads.diagonal().all())


def test_vectors_do_not_depend_on_padding() -> None:
    torch.manual_seed(0)
    encoder = Encoder(EncoderSettings(width=32, layers=2, targets=3)).eval()
    short, long = text(8, 1), text(16, 9, act="Gelu")
    alone, together = embed(encoder, [short]), embed(encoder, [short, long])
    np.testing.assert_allclose(alone[0], together[0], atol=1e-5)


def test_a_very_long_text_is_read_at_both_ends() -> None:
    rows = [f"Conv k3 {i}>{i + 1} @{i + 1}x40" for i in range(1, 700)]
    graph = parse("\n".join(["NET 1x40>10", *rows, "ReduceMean a2 @700", "Linear 700>10 @10"]))
    assert collate([graph]).tokens_BL.shape == (1, POSITION_LIMIT)


def test_pretraining_learns_sizes_without_labels() -> None:
    texts, _ = family(120)
    said: list[str] = []
    encoder, projection = pretrain(texts, None, minutes=0.03, seed=0, report=said.append)
    vectors = (embed(encoder, texts) - projection["mean"]) @ projection["basis"]
    assert np.isfinite(vectors).all()
    assert projection["spread"].shape == graph_features(parse(texts[0])).shape
    assert "explained" in said[0]


def test_prior_and_correlation_are_defined_everywhere() -> None:
    ranks = prior_ranks(np.log([10.0, 100.0, 1000.0]), np.log([5.0, 50.0, 20.0]))
    assert ranks.tolist() == [0.0, 0.75, 0.75]
    assert prior_ranks(np.array([1.0]), np.array([1.0])).tolist() == [0.5]
    assert prior_ranks(np.array([]), np.array([])).tolist() == []
    assert kendall_tau(np.array([1, 2, 3]), np.array([1, 2, 3])) == 1.0
    assert kendall_tau(np.array([1, 1]), np.array([1, 2])) == 0.0
    assert kendall_tau(np.array([1.0, np.nan, 2.0, 3.0]), np.array([3.0, 1.0, 2.0, 1.0])) == -1.0
    assert kendall_tau(np.array([]), np.array([])) == 0.0
