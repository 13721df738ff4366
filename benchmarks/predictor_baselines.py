"""The baseline rows of the predictor's benchmark that are not networks.

Each takes the text of a network, unfolded to one line per operator, or columns of the table, and
but for the prior fits boosted trees to the ranks of the labels. They share no features with the
predictor, so that they stay what they are when it changes. The trees' settings are usual ones (400
trees of 15 leaves, columns sampled); no test cell was looked at for them.
"""

import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

import lightgbm
import numpy as np
from predictor_space import Space
from scipy.stats import rankdata

from surrogate.folding import unfold
from surrogate.parse import Words, parse, read_words
from surrogate.rank import prior_ranks

ROUNDS = 3  # of Weisfeiler-Lehman relabelling
FITS = 3  # fits of different seeds, averaged: columns and rows are sampled
SETTINGS = {
    "learning_rate": 0.04,
    "num_leaves": 15,
    "min_data_in_leaf": 4,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.3,
    "max_bin": 63,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
TREES = 400
COUNTED = (
    *("Conv k1", "Conv k3", "Conv k5", "Conv", "MaxPool", "AveragePool", "Linear", "BatchNorm"),
    *("LayerNorm", "GroupNorm", "Relu", "Gelu", "Swish", "Sigmoid", "Tanh", "Add", "Mul", "MatMul"),
    *("Softmax", "GRU", "LSTM", "RNN", "Concat", "ReduceMean", "ReduceMax", "Dropout"),
)

Row = Callable[[Space, np.ndarray, np.ndarray, int], np.ndarray]
"""(networks, the labelled ones, the tested ones, seed) to predictions for the tested ones."""


def prior(space: Space, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Mean rank of the logarithms of parameters and MACs; needs no labels."""
    return prior_ranks(space.parameters[test], space.macs[test])


def operators(space: Space, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """How often each operator stands, with its attributes."""
    columns = _counted([_operator_counts(space.texts[i]) for i in (*train, *test)], len(train))
    return _trees(columns, space.accuracies[train], seed)


def wl(space: Space, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Weisfeiler-Lehman counts beside graph features."""
    chosen = [space.texts[i] for i in (*train, *test)]
    counts = _counted([_wl_counts(text) for text in chosen], len(train))
    return _trees(np.hstack([counts, _features(chosen)]), space.accuracies[train], seed)


def proxies(space: Space, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """All zero-cost columns of the table."""
    return _trees(space.proxies[np.r_[train, test]], space.accuracies[train], seed)


def proxies_and_graph(space: Space, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """All zero-cost columns of the table beside graph features."""
    features = _features([space.texts[i] for i in (*train, *test)])
    columns = np.hstack([space.proxies[np.r_[train, test]], features])
    return _trees(columns, space.accuracies[train], seed)


def _trees(columns: np.ndarray, accuracies: np.ndarray, seed: int) -> np.ndarray:
    """Fit on the first rows, the labelled ones, and predict the others."""
    count = len(accuracies)
    ranks = rankdata(accuracies) / count
    data = lightgbm.Dataset(columns[:count], ranks, params=SETTINGS, free_raw_data=False)
    found = np.zeros(len(columns) - count)
    for fit in range(FITS):
        settings = SETTINGS | {"seed": 1000 * fit + seed}
        booster = lightgbm.train(settings, data, num_boost_round=TREES)
        found += np.asarray(booster.predict(columns[count:], num_threads=1))
    return found / FITS


def _counted(counts: Sequence[Counter[str]], labelled: int) -> np.ndarray:
    """Log counts of what at least two labelled networks have."""
    seen = Counter(label for counter in counts[:labelled] for label in counter)
    kept = {label: i for i, label in enumerate(sorted(k for k, v in seen.items() if v > 1))}
    columns = np.zeros((len(counts), max(1, len(kept))), np.float32)
    for row, counter in enumerate(counts):
        for label, count in counter.items():
            if label in kept:
                columns[row, kept[label]] = np.log1p(count)
    return columns


def _unfolded(text: str) -> list[tuple[Words, tuple[int, ...]]]:
    """Every operator with the places that it reads; place 0 is the input."""
    lines = [read_words(line) for line in unfold(text.split("\n")[1:])]
    return [
        (words, tuple(k - back if back else 0 for back in words.references))
        for k, words in enumerate(lines, start=1)
    ]


def _label(words: Words) -> str:
    return " ".join([words.op, *(key + value for key, value in words.attributes)])


@lru_cache(maxsize=20_000)
def _operator_counts(text: str) -> Counter[str]:
    return Counter(_label(words) for words, _ in _unfolded(text))


@lru_cache(maxsize=20_000)
def _wl_counts(text: str) -> Counter[str]:
    """Labels of all rounds (Shervashidze et al., JMLR 2011, section 3)."""
    graph = _unfolded(text)
    labels = ["NET", *(_label(words) for words, _ in graph)]
    found = Counter(labels)
    for step in range(ROUNDS):
        told = [",".join(sorted(labels[i] for i in sources)) for _, sources in graph]
        grown = [f"{label}<{read}" for label, read in zip(labels[1:], told, strict=True)]
        labels = ["NET", *(f"{step} {zlib.crc32(label.encode())}" for label in grown)]
        found.update(labels)
    return found


def _features(texts: Sequence[str]) -> np.ndarray:
    return np.stack([_graph_features(text) for text in texts])


@lru_cache(maxsize=20_000)
def _graph_features(text: str) -> np.ndarray:
    """Sizes, path lengths and counts of one network."""
    graph, sizes = _unfolded(text), parse(text)
    longest, shortest, depths, large = [0], [0], [0], [0]
    paths, widths = [1.0], [1]
    for words, sources in graph:
        weighted = int(words.channels is not None)
        longest.append(weighted + max(longest[i] for i in sources))
        shortest.append(weighted + min(shortest[i] for i in sources))
        depths.append(1 + max(depths[i] for i in sources))
        is_large = words.op.startswith("Conv") and max(words.numbers("k"), default=1) > 1
        large.append(int(is_large) + max(large[i] for i in sources))
        paths.append(min(1e30, sum(paths[i] for i in sources)))
        widths.append(words.channels[1] if words.channels else 1)
    maps = [words.shape for words, _ in graph if len(words.shape) > 1]
    counts = Counter(words.op for words, _ in graph)
    counts.update(re.sub(r"^(\w+ k\d+).*", r"\1", _label(words)) for words, _ in graph)
    values = [longest[-1], shortest[-1], depths[-1], large[-1], len(graph)]
    values += [np.log1p(sizes.parameters), np.log1p(sizes.macs), np.log1p(sizes.activations)]
    values += [np.log(paths[-1]), np.log(max(widths)), maps[-1][-1] if maps else 0]
    return np.array(values + [counts[name] for name in COUNTED], float)


ROWS: dict[str, Row] = {
    "prior": prior,
    "operators": operators,
    "wl": wl,
    "proxies": proxies,
    "proxies+graph": proxies_and_graph,
}
