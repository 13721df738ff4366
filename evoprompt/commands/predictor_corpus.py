"""The corpus from which the shipped predictor learns without labels: texts with zero-cost proxies.

`python -m evoprompt.commands.predictor_corpus --count 16000` draws networks from our own grammar,
about half of them programs as a search proposes them and half networks of repeated cells, records
each one as the screen does and computes the proxies of its fresh weights. Out: JSON lines
{"index", "seed", "origin", "graph", "text", "targets"}, every graph once. A killed run goes on
where it was; the same seed gives the same lines.
The sources are the grammar's own, so they run in ordinary worker processes, not in the jail.
"""

import argparse
import json
import multiprocessing
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from rich.progress import Progress

from evoprompt import chance
from evoprompt.errors import ConfigError
from evoprompt.grammar.cell_source import render_cell_net
from evoprompt.grammar.cells import random_cell_net
from evoprompt.grammar.seeds import seed_specs
from evoprompt.grammar.spec import render
from evoprompt.grammar.variation import random_spec, some_mutation
from evoprompt.jail.kernel import die_with

CELL_SHARE = 0.5
SEED_SHARE = 0.125  # of the other programs are mutated seeds
SHAPES = ((1, 40),) * 6 + ((1, 8, 8),) * 2 + ((3, 16, 16),) * 2
MAC_LIMIT = 60_000_000
ROUND = 512  # indices that are given to the workers at once
CHUNK = 8


def main(arguments: list[str] | None = None) -> None:
    """Write the corpus, or what is missing of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=16_000, help="networks in the corpus")
    parser.add_argument("--out", type=Path, default=Path("runs/corpus/corpus.jsonl"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    try:
        write_corpus(options.out, options.count, options.seed, options.workers)
    except ConfigError as error:
        print(f"predictor_corpus: {error}", file=sys.stderr)
        sys.exit(2)


def write_corpus(path: Path, count: int, seed: int, workers: int) -> Counter[str]:
    """Append networks until there are `count`; returns how many indices were left out, and why.

    Raises:
        ConfigError: If the file is no corpus, or one of another seed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    graphs, index = _resume(path, seed)
    left_out: Counter[str] = Counter()
    with path.open("a", encoding="utf-8") as file, Progress() as progress:
        bar = progress.add_task("networks", total=count, completed=len(graphs))
        for row in rows(seed, index, workers):
            if len(graphs) >= count:
                break
            if "left_out" in row or row["graph"] in graphs:
                left_out[row.get("left_out", "the same graph once more")] += 1
                continue
            graphs.add(row["graph"])
            file.write(json.dumps(row) + "\n")
            file.flush()
            progress.update(bar, completed=len(graphs))
    print(f"{len(graphs)} networks in {path}; left out: {dict(left_out) or 'none'}")
    return left_out


def _resume(path: Path, seed: int) -> tuple[set[str], int]:
    """The graphs that the file holds and the index to go on from; a torn last line is cut off."""
    if not path.exists():
        return set(), 0
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    try:
        found = [json.loads(line) for line in whole.splitlines()]
        graphs, index = (
            {row["graph"] for row in found},
            max((r["index"] for r in found), default=-1),
        )
        seeds = {row["seed"] for row in found}
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{path}: not a corpus of this command. Expected one network a line. "
            "Name another file with --out."
        ) from None
    if seeds - {seed}:
        raise ConfigError(
            f"{path}: a corpus of seed {seeds.pop()}. Expected seed {seed}. "
            "Give that --seed, or name another file with --out."
        )
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    return graphs, index + 1


def rows(seed: int, index: int, workers: int) -> Iterator[dict[str, Any]]:
    """One row for every index from the given one on, in order, without end."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=prepare_worker, initargs=(os.getpid(),)
    ) as pool:
        while True:
            places = range(index, index + ROUND)
            yield from pool.map(make_row, [seed] * ROUND, places, chunksize=CHUNK)
            index += ROUND


def prepare_worker(parent: int) -> None:
    """One thread, and the forms of layers that the recorder reads."""
    import torch

    die_with(parent)
    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator has no ONNX form
    torch.backends.mkldnn.set_flags(_enabled=False)  # it compiles a kernel for every new shape
    warnings.simplefilter("ignore")


def draw(rng: Random) -> tuple[str, str, tuple[int, ...], int]:
    """A network: where it is from, its source, the shape of its input and its classes."""
    if rng.random() < CELL_SHARE:
        net = random_cell_net(rng)
        return "cells", render_cell_net(net), net.in_shape, net.num_classes
    in_shape = rng.choice(SHAPES)
    origin = "seed" if rng.random() < SEED_SHARE else "program"
    if origin == "seed":
        spec = some_mutation(rng.choice(list(seed_specs(in_shape, 10).values())), rng)
    else:
        spec = random_spec(rng, in_shape, 10)
    for _ in range(rng.choice((0, 0, 0, 1, 2, 4, 6))):
        spec = some_mutation(spec, rng)
    return origin, render(spec), in_shape, 10


def make_row(seed: int, index: int) -> dict[str, Any]:
    """The row of one index, or {"left_out": why}."""
    from surrogate.proxies import ProxyError

    origin, source, in_shape, num_classes = draw(chance.generator(seed, "corpus", index))
    try:
        figures = _figures(source, in_shape, num_classes, chance.derive(seed, "weights", index))
    except ProxyError:
        return {"left_out": "a proxy is not finite"}
    if figures is None:
        return {"left_out": f"over {MAC_LIMIT} macs"}
    return {"index": index, "seed": seed, "origin": origin, **figures}


def _figures(
    source: str, in_shape: tuple[int, ...], num_classes: int, seed: int
) -> dict[str, Any] | None:
    """Hash, text and proxies of one network; none if it is too large."""
    import torch

    from evoprompt.screen.recorder import record
    from surrogate import encode
    from surrogate.proxies import proxies

    torch.default_generator.manual_seed(seed)
    names: dict[str, Any] = {"__name__": "candidate"}
    exec(compile(source, "<network>", "exec"), names)
    net = names["Net"](in_shape, num_classes).eval()
    with torch.no_grad():
        net(torch.randn(2, *in_shape))  # lazy layers get their weights
    graph = encode.read(record(net, lambda batch: (torch.randn(batch, *in_shape),)).model)
    if graph.macs > MAC_LIMIT:
        return None
    values = proxies(net, in_shape, num_classes, seed)
    targets = {name: float(f"{value:.6g}") for name, value in values.items()}
    return {"graph": graph.hash, "text": graph.text, "targets": targets}


if __name__ == "__main__":
    main()
