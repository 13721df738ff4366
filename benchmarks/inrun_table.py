"""Makes the table of the in-run benchmark: 1,000 networks, each trained once at search fidelity.

    python benchmarks/inrun_table.py [--count 1000] [--folder runs/inrun] [--workers 2]

MNIST-1D, the recipe of the default search. Two fifths are seeds and random programs of the grammar;
the rest is written by the built-in model in three waves, from parents of the waves before (half of
the time one of the best quarter), as in a search without a predictor. Screened, trained and
measured by the search's own rooms. Every result is durable on arrival, so the command can be
stopped and started again; what an earlier table holds is not trained again either. Writes
benchmarks/data/inrun_mnist1d.csv.gz: text of the graph, accuracy, origin, parameters, MACs; when it
is stopped early (--seconds), of what is known by then. The last line is one JSON object.
"""

import argparse
import csv
import gzip
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from rich.console import Console
from rich.progress import Progress

from evoprompt.candidate import Parent, Rejected, Screened, TrainJob, candidate_id
from evoprompt.chance import derive
from evoprompt.config import SearchSettings, mnist1d
from evoprompt.grammar.seeds import seeds
from evoprompt.grammar.spec import render
from evoprompt.grammar.variation import random_spec
from evoprompt.propose.engine import open_engine
from evoprompt.propose.prompting import make_prompts
from evoprompt.propose.reply import read_reply
from evoprompt.propose.templates import load_templates, template_folder
from evoprompt.screen import Screener
from evoprompt.storage import write_atomically
from evoprompt.train import Trainer
from evoprompt.train.tasks import TaskFiles, open_task
from surrogate import encode

TABLE = Path(__file__).parent / "data" / "inrun_mnist1d.csv.gz"
WAVES = (0.4, 0.2, 0.2, 0.2)  # of all networks; the first wave is the grammar's
PATIENCE = 20  # rounds for one new network, at worst
SEED = 20261121
COLUMNS = ("text", "accuracy", "origin", "parameters", "macs")


@dataclass(frozen=True)
class Net:
    """A screened program of the table."""

    figures: Screened
    source: str
    origin: str


class Maker:
    """The rooms, and what is known so far."""

    def __init__(
        self, folder: Path, settings: SearchSettings, task: TaskFiles, table: dict[str, float]
    ) -> None:
        self.folder, self.settings, self.task, self.table = folder, settings, task, table
        self.screener = Screener(settings.screen, task.shape, folder)
        self.nets: dict[str, Net] = {}
        self.graphs: set[str] = set()
        self.results: dict[str, float | None] = {}
        """Accuracy by candidate; None where training failed."""
        path = folder / "results.jsonl"
        if path.exists():
            rows = (json.loads(line) for line in path.read_text().splitlines() if line)
            self.results = {row["candidate"]: row["accuracy"] for row in rows}

    def wave(self, number: int, count: int, progress: Progress) -> list[Net]:
        """The networks of one wave, made or found."""
        path = self.folder / f"wave{number}.json"
        if not path.exists():
            made = self._grammar(count) if number == 0 else self._model(number, count, progress)
            rows = [{"source": n.source, "origin": n.origin} for n in made]
            write_atomically(path, json.dumps(rows).encode())
        rows = json.loads(path.read_text())
        nets = self._screened([(row["source"], row["origin"]) for row in rows])
        for net in nets:
            self.nets[net.figures.candidate] = net
            self.graphs.add(net.figures.graph)
        return nets

    def _screened(self, programs: Sequence[tuple[str, str]]) -> list[Net]:
        prepared = []
        for source, origin in programs:
            ready = self.screener.prepare(source)
            if not isinstance(ready, Rejected):
                prepared.append((ready.source, origin))
        answers = self.screener.screen_all([source for source, _ in prepared])
        return [
            Net(answer, source, origin)
            for (source, origin), answer in zip(prepared, answers, strict=True)
            if isinstance(answer, Screened)
        ]

    def _new(self, programs: Sequence[tuple[str, str]], count: int) -> list[Net]:
        """At most `count` of them that pass the screen and whose graph is not in the table."""
        fresh, known = [], set(self.graphs)
        for net in self._screened(programs):
            if net.figures.graph not in known and len(fresh) < count:
                known.add(net.figures.graph)
                fresh.append(net)
        return fresh

    def _grammar(self, count: int) -> list[Net]:
        rng, shape = Random(SEED), self.task.shape
        programs = [(s, "seed") for s in seeds(shape.in_shape, shape.num_classes).values()]
        while len(programs) < 2 * count + 50:
            programs.append(
                (render(random_spec(rng, shape.in_shape, shape.num_classes)), "grammar")
            )
        return self._new(programs, count)

    def _model(self, number: int, count: int, progress: Progress) -> list[Net]:
        engine = open_engine(self.settings.proposer)
        templates = load_templates(template_folder(None))
        parents = [self._parent(c) for c, a in sorted(self.results.items()) if a is not None]
        parents.sort(key=lambda parent: -parent.accuracy)
        best = parents[: len(parents) // 4]

        def pick(rng: Random) -> Parent:
            return rng.choice(best if rng.random() < 0.5 else parents)

        task = progress.add_task(f"wave {number}: proposing", total=count)
        programs: dict[str, str] = {}
        fresh: list[Net] = []
        round_number = 0
        try:
            while len(fresh) < count:
                seed = derive(SEED, "wave", number, round_number)
                made = make_prompts(
                    templates, pick, self.task.shape, 8, self.settings.proposer, seed
                )
                replies = engine.sample([p for p, _ in made], [s for _, s in made])
                for (prompt, _), answers in zip(made, replies, strict=True):
                    for child in (read_reply(prompt, answer) for answer in answers):
                        if not isinstance(child, Rejected):
                            programs.setdefault(candidate_id(child[0]), child[0])
                round_number += 1
                if round_number % 4 == 0:
                    fresh = self._new([(s, "model") for s in programs.values()], count)
                    progress.update(task, completed=len(fresh))
                if round_number > PATIENCE and round_number > PATIENCE * len(fresh):
                    raise SystemExit(
                        f"the proposer wrote {len(fresh)} new networks in {round_number} rounds. "
                        "Expected some in each. Look at its valid share with "
                        "benchmarks/proposer.py."
                    )
        finally:
            engine.close()
        progress.remove_task(task)
        return fresh

    def _parent(self, candidate: str) -> Parent:
        net, accuracy = self.nets[candidate], self.results[candidate]
        assert accuracy is not None
        figures = net.figures
        return Parent(candidate, net.source, accuracy, figures.parameters, figures.macs)

    def train(self, nets: Sequence[Net], progress: Progress, label: str, end: float) -> None:
        """Train what is not known until `end`; each result is on the disk before the next."""
        for net in nets:
            text = encode.read(self.folder / net.figures.graph_path).text  # without the task
            if text in self.table:
                known = self.table[text]
                self.results.setdefault(net.figures.candidate, known)
        missing = [net for net in nets if net.figures.candidate not in self.results]
        missing.sort(key=lambda net: -net.figures.macs)
        task = progress.add_task(label, total=len(nets), completed=len(nets) - len(missing))
        jobs = [self._job(net) for net in missing]
        if jobs and time.monotonic() < end:
            with (
                Trainer(self.settings.train, self.task) as trainer,
                (self.folder / "results.jsonl").open("a") as file,
            ):
                for index, result in trainer.train_all(jobs):
                    accuracy = None if isinstance(result, Rejected) else result.accuracy
                    row = {"candidate": jobs[index].candidate, "accuracy": accuracy}
                    file.write(json.dumps(row) + "\n")
                    file.flush()
                    self.results[jobs[index].candidate] = accuracy
                    Path(jobs[index].weights_path).unlink(missing_ok=True)
                    progress.advance(task)
                    if time.monotonic() > end:
                        break

    def _job(self, net: Net) -> TrainJob:
        figures = net.figures
        return TrainJob(
            candidate=figures.candidate,
            source=net.source,
            graph=figures.graph,
            graph_path=str(self.folder / figures.graph_path),
            weights_path=str(self.folder / "weights" / f"{figures.candidate}.safetensors"),
            seed=derive(SEED, "train") % 2**31,
        )

    def rows(self) -> list[tuple]:
        """The table, in the order of the waves."""
        found = []
        for candidate, net in self.nets.items():
            accuracy = self.results.get(candidate)
            if accuracy is not None:
                graph = encode.read(self.folder / net.figures.graph_path)
                sizes = (graph.parameters, graph.macs)
                found.append((graph.text, f"{accuracy:.6g}", net.origin, *sizes))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description="The table of the in-run benchmark.")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=Path("runs/inrun"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--seconds", type=float, help="end after so long, with a smaller table")
    given = parser.parse_args()
    started = time.monotonic()
    base = mnist1d()
    settings = replace(base, train=replace(base.train, workers=given.workers))
    folder = given.folder.resolve()
    for name in ("graphs", "weights"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    known = read_table(given.table) if given.table.exists() else {}
    maker = Maker(folder, settings, open_task(settings.task, folder / "data"), known)
    end = started + given.seconds if given.seconds else float("inf")
    with Progress(console=Console(stderr=True)) as progress:
        try:
            for number, share in enumerate(WAVES):
                if time.monotonic() > end and not (folder / f"wave{number}.json").exists():
                    break
                nets = maker.wave(number, round(share * given.count), progress)
                maker.train(nets, progress, f"wave {number}: training", end)
        finally:
            maker.screener.close()
    rows = maker.rows()
    write_atomically(given.table, table_bytes(rows))
    summary = {"nets": len(rows), "failed": sum(a is None for a in maker.results.values())}
    print(json.dumps(summary | {"seconds": round(time.monotonic() - started)}))


def read_table(path: Path) -> dict[str, float]:
    """Accuracies by text."""
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        return {row["text"]: float(row["accuracy"]) for row in csv.DictReader(file)}


def table_bytes(rows: Sequence[tuple]) -> bytes:
    """A compressed CSV; the same rows give the same bytes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return gzip.compress(text.getvalue().encode(), mtime=0)


if __name__ == "__main__":
    main()
