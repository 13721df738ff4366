"""A synthetic run: events that are consistent with each other and with nothing else.

No network, training or language model is involved; the accuracies are made up from a formula, so
that pictures look like something. It is for tests of the view only.
"""

import math
import random
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from evoprompt.candidate import candidate_id
from evoprompt.config import SearchSettings, mnist1d
from evoprompt.ledger import Event, Ledger

SEEDS = (
    ("reference_cnn", 5210, 88200, 0.905),
    ("gru", 5134, 61000, 0.842),
    ("mlp", 15210, 15010, 0.641),
    ("larger_cnn", 86000, 1.9e6, 0.925),
    ("residual_cnn", 4100, 150000, 0.912),
    ("depthwise_cnn", 2100, 40000, 0.874),
    ("dilated_cnn", 1300, 52000, 0.851),
    ("attention", 3200, 70000, 0.820),
)
FAILURES = (
    ("rules", "forbidden_name", "line 9: 'torch.load' is not allowed"),
    ("build", "build_error", "TypeError: Conv1d() missing 1 required argument: 'kernel_size'"),
    ("forward", "forward_error", "RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
    ("forward", "wrong_output", "expected (1, 10), got (1, 20, 10)"),
    ("check", "batch_dependent", "the graph differs at batch sizes 1 and 3"),
)


@dataclass
class Builder:
    """Makes the events of a whole run, generation by generation."""

    settings: SearchSettings = field(default_factory=mnist1d)
    generations: int = 5
    proposals: int = 64
    trained: int = 7
    hostile: str = ""
    """Text that is put wherever a model or a candidate could write."""
    events: list[Event] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int, float]] = field(default_factory=dict)
    cells: dict[tuple[int, int], str] = field(default_factory=dict)
    accuracy: dict[str, float] = field(default_factory=dict)
    version: str = "base"

    def __post_init__(self) -> None:
        self.rng = random.Random(8)
        self.pairs: list[tuple[float, float, bool]] = []

    def add(self, g: int, stage: str, i: int, kind: str, p: dict[str, Any], **clock: Any) -> None:
        self.events.append(Event(g, stage, i, kind, p, clock))

    def build(self) -> list[Event]:
        reference = candidate_id(self.seed_source(*SEEDS[0][:3]))
        shape = {"name": "mnist1d", "in_shape": [1, 40], "num_classes": 10}
        counts = {"train_count": 4000, "validation_count": 4000, "test_count": 10000}
        settings = asdict(replace(self.settings, seed=3))
        self.add(0, "start", 0, "started", {
            "format": 1, "evoprompt": "0.1.0", "settings": settings, "task": shape | counts,
            "templates": {"mutate": "a1" * 32, "cross": "b2" * 32}, "reference": reference,
        }, time=1.78e9, host="synthetic", python="3.12", torch="2.11", cores=2)  # fmt: skip
        self.plant()
        for generation in range(1, self.generations + 1):
            self.generation(generation)
        self.finish(reference)
        return self.events

    def seed_source(self, name: str, parameters: int, macs: float) -> str:
        return (
            "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n"
            "    def __init__(self, in_shape, num_classes):\n        super().__init__()\n"
            f"        self.name = '{name}'\n        self.first = nn.LazyConv1d(25, 5, 2, 1)\n"
            "        self.second = nn.LazyConv1d(25, 3, 2, 1)\n"
            "        self.head = nn.LazyLinear(num_classes)\n\n"
            "    def forward(self, x):\n        x = torch.relu(self.first(x))\n"
            "        x = torch.relu(self.second(x))\n        return self.head(x.flatten(1))\n"
        )

    def plant(self) -> None:
        ids: list[str] = []
        for i, (name, parameters, macs, accuracy) in enumerate(SEEDS):
            ids.append(self.propose(0, i, self.seed_source(name, parameters, macs), [], name))
            self.sizes[ids[i]] = (parameters, int(macs), accuracy)
        for i, candidate in enumerate(ids):
            self.screen(0, i, candidate)
        for i, candidate in enumerate(ids):
            self.add(0, "choose", i, "chosen", {"candidate": candidate, "why": "seed", "worth": 0})
        self.train(0, ids)
        self.add(0, "learn", 0, "predictor", {
            "version": "v001", "label_count": len(ids), "pairs": 0, "reserve_pairs": 0,
            "tau_predictor": 0.0, "tau_prior": float("nan"), "tau_predictor_reserve": 0.0,
            "tau_prior_reserve": 0.0, "judge": "predictor"}, seconds=0.4)  # fmt: skip

    def propose(
        self,
        g: int,
        i: int,
        source: str | None,
        parents: list[str],
        name: str | None = None,
        mends: int | None = None,
    ) -> str:
        candidate = candidate_id(source) if source else None
        if candidate and source:
            self.sources[candidate] = source
        operator = "seed" if g == 0 else "cross" if len(parents) > 1 else "mutate"
        operator = operator if mends is None else "repair"
        lines = {"added": 4, "again": int(i % 4 == 0)} if g and source else None
        refused = {"stage": "parse", "reason": "bad_edit", "detail": f"line 99 {self.hostile}"}
        self.add(g, "propose" if mends is None else "repair", i, "proposed", {
            "candidate": candidate, "name": name, "operator": operator + self.hostile,
            "template": operator if g else "", "template_hash": "a1" * 32 if g else "",
            "prompt": f"prompt {self.hostile}", "parents": parents, "donor": [],
            "target": "any", "reply": f"reply {self.hostile}", "token_count": 40 if g else 0,
            "finished": True, "temperature": 0.8, "seed": i,
            "proposer": self.version if g else None,
            "round": i // 32, "notes": [], "rejected": None if candidate else refused,
            "part": ("width", "depth", "any")[i % 3] + self.hostile if g else "", "lines": lines,
            "repairs": None if mends is None else {"index": mends, "template": "mutate"},
        }, seconds=0.05)  # fmt: skip
        return candidate or ""

    def screen(self, g: int, i: int, candidate: str, known: str | None = None) -> None:
        parameters, macs, _ = self.sizes[candidate]
        self.add(g, "screen", i, "screened", {
            "candidate": candidate, "graph": candidate[::-1], "graph_path": "graphs/x.onnx",
            "parameters": parameters, "macs": macs, "depth": 4, "node_count": 12,
            "text": "conv relu", "adapted": [], "known_graph": known,
        })  # fmt: skip

    def child(self, g: int, i: int) -> tuple[str, list[str]]:
        parents = self.rng.sample(list(self.cells.values()), 2 if i % 3 == 0 else 1)
        width = self.rng.randrange(8, 64)
        lines = self.sources[parents[0]].split("\n")
        lines[8] = f"        self.first = nn.LazyConv1d({width}, 5, 2, {g})  # {self.hostile}"
        lines.insert(10, f"        self.extra{g}_{i} = nn.LazyBatchNorm1d()")
        source = "\n".join(lines)
        base, macs, accuracy = self.sizes[parents[0]]
        parameters = max(120, int(base * 10 ** self.rng.gauss(0, 0.35)))
        cost = int(parameters * (macs / base) * 10 ** self.rng.gauss(0, 0.25))
        gain = 0.03 * math.log10(parameters / base) + self.rng.gauss(0.004, 0.02)
        key = candidate_id(source)
        ceiling = 0.985 - 0.25 * math.exp(-0.55 * math.log10(parameters)) + self.rng.gauss(0, 0.004)
        self.sizes[key] = (parameters, cost, max(0.1, min(ceiling, accuracy + gain)))
        return source, parents

    def generation(self, g: int) -> None:
        self.add(g, "start", 1, "generation", {"go": True, "reason": None}, time=1.78e9 + 80 * g)
        made: list[tuple[int, str]] = []
        for i in range(self.proposals):
            source, parents = self.child(g, i)
            source = None if i % 9 == 0 else source
            if i % 16 == 5:
                source, parents = self.sources[parents[0]], parents
            made.append((i, self.propose(g, i, source, parents)))
        options: list[str] = []
        broken: list[int] = []
        for i, candidate in made:
            if not candidate:
                continue
            if i % 16 == 5:
                known = {"of": candidate, "how": "lines" if i % 32 == 5 else "source"}
                self.add(g, "screen", i, "duplicate", {"candidate": candidate, **known})
            elif i % 5 == 2:
                stage, reason, detail = self.rng.choice(FAILURES)
                detail += self.hostile
                failure = {"stage": stage, "reason": reason, "detail": detail}
                self.add(g, "screen", i, "rejected", {"candidate": candidate, **failure})
                broken.append(i)
            elif i % 13 == 6:
                self.screen(g, i, candidate, known=next(iter(self.accuracy)))
            else:
                self.screen(g, i, candidate)
                options.append(candidate)
        made += self.mend(g, broken[:3], options)
        index = {candidate: i for i, candidate in made}
        options.sort(key=lambda c: index[c])
        for candidate in options:
            mean = self.sizes[candidate][2] + self.rng.gauss(0, 0.04 / g)
            self.add(g, "score", index[candidate], "scored", {
                "candidate": candidate, "mean": mean, "spread": 0.03, "prior": 0.5,
                "low": mean - 0.05, "high": mean + 0.05, "version": f"v{g:03d}"})  # fmt: skip
        self.choose(g, options)

    def mend(self, g: int, broken: list[int], options: list[str]) -> list[tuple[int, str]]:
        """Send broken children back; the first one is broken again."""
        made: list[tuple[int, str]] = []
        for number, i in enumerate(broken):
            source, parents = self.child(g, 1_000_000 + i)
            candidate = self.propose(g, 1_000_000 + i, source, parents, mends=i)
            made.append((1_000_000 + i, candidate))
            if number:
                self.screen(g, 1_000_000 + i, candidate)
                options.append(candidate)
            else:
                stage, reason, detail = FAILURES[1]
                failure = {"stage": stage, "reason": reason, "detail": detail}
                payload = {"candidate": candidate, **failure}
                self.add(g, "screen", 1_000_000 + i, "rejected", payload)
        return made

    def choose(self, g: int, options: list[str]) -> None:
        best = sorted(options, key=lambda c: -self.sizes[c][2])
        best = best[: self.trained - 2] + self.rng.sample(best[self.trained - 2 :], 2)
        for slot, candidate in enumerate(best):
            why = "reserve" if slot >= self.trained - 2 else "predictor"
            self.add(g, "choose", slot, "chosen", {
                "candidate": candidate, "why": why, "worth": 0.01})  # fmt: skip
        self.train(g, best)
        self.learn(g)

    def train(self, g: int, chosen: list[str]) -> None:
        lost = len(chosen) - 1 if g == 2 else -1
        for slot, candidate in enumerate(chosen):
            if slot == lost:
                detail = f"loss is NaN {self.hostile}"
                self.add(g, "train", slot, "failed", {"candidate": candidate, "stage": "train",
                         "reason": "diverged", "detail": detail})  # fmt: skip
                continue
            accuracy = round(self.sizes[candidate][2] * 4000) / 4000
            self.accuracy[candidate] = accuracy
            if g == 3 and slot == 0:
                self.add(g, "train", slot, "known", {
                    "candidate": candidate, "accuracy": accuracy, "weights_path": "weights/x",
                    "from": chosen[1]})  # fmt: skip
                continue
            self.add(g, "train", slot, "trained", {
                "candidate": candidate, "graph": candidate[::-1], "seed": 1, "accuracy": accuracy,
                "steps": 1000, "final_loss": 0.2, "curve": [[0, 2.3], [999, 0.2]],
                "weights": "ab" * 32, "recipe": "r", "extra": {}, "correct": "",
            }, seconds=3.5, device="cpu")  # fmt: skip
        for slot, candidate in enumerate(chosen):
            if slot != lost:
                self.archive(g, slot, candidate)

    def archive(self, g: int, slot: int, candidate: str) -> None:
        parameters, macs, _ = self.sizes[candidate]
        places = (
            (math.log10(parameters) - 2) / 4 * 12,
            (math.log10(macs / parameters) + 0.5) / 3 * 8,
        )
        cell = (max(0, min(11, int(places[0]))), max(0, min(7, int(places[1]))))
        held = self.cells.get(cell)
        better = held is None or self.accuracy[candidate] > self.accuracy[held]
        status = "new" if held is None else "improved" if better else "kept"
        self.add(g, "archive", slot, "archived", {
            "candidate": candidate, "cell": list(cell), "clipped": parameters < 100,
            "status": status, "accuracy": self.accuracy[candidate],
            "replaced": held if status == "improved" else None})  # fmt: skip
        if better:
            self.cells[cell] = candidate

    def learn(self, g: int) -> None:
        pairs = g * self.trained
        rank = 0.2 + 0.09 * g
        self.add(g, "learn", 0, "predictor", {
            "version": f"v{g + 1:03d}", "label_count": pairs + len(SEEDS), "pairs": pairs,
            "reserve_pairs": 2 * g, "tau_predictor": rank, "tau_prior": 0.31 + 0.01 * g,
            "tau_predictor_reserve": None if g == 1 else rank - 0.1,
            "tau_prior_reserve": float("nan") if g == 1 else 0.28,
            "interval_count": pairs, "held_count": pairs - g,
            "interval_count_reserve": 2 * g, "held_count_reserve": 2 * g - 1,
            "judge": "prior" if g == 2 else "predictor"}, seconds=1.5)  # fmt: skip
        promoted = None if g == 1 else g % 2 == 0
        previous = self.version
        if promoted:
            self.version = f"v{g:03d}"
        count = {"samples": 64, "valid": 48, "valid_new": 44 + g, "heredity": 0.61}
        gate = {"prompts": 8, "old": count, "new": {**count, "valid_new": 46 if promoted else 40}}
        self.add(g, "learn", 1, "proposer", {
            "version": f"v{g:03d}", "previous": previous, "serving": self.version,
            "pair_count": 12 * g, "promoted": promoted, "reason": f"gate {self.hostile}",
            "method": "dpo",
            "loss_first": 0.693, "loss_last": 0.41, "held_out_accuracy": 0.6,
            "gate": {} if promoted is None else gate}, seconds=9.0)  # fmt: skip

    def finish(self, reference: str) -> None:
        g = self.generations + 1
        self.add(g, "start", 1, "generation", {"go": False, "reason": "generations"})
        planted = {candidate_id(self.seed_source(*seed[:3])) for seed in SEEDS}
        children = [c for c in self.accuracy if c not in planted]
        best = max(children, key=lambda c: self.accuracy[c])
        small = [c for c in children if self.sizes[c][0] <= 5210 and c != best]
        winners = [best, max(small, key=lambda c: self.accuracy[c])]
        roles = [("winner 1", winners[0]), ("winner 2", winners[1]), ("reference", reference)]
        slots = [(role, c, seed) for role, c in roles for seed in (11, 12, 13)]
        for i, (role, candidate, seed) in enumerate(slots):
            self.add(g, "final", i, "tested", {
                "candidate": candidate, "role": role, "seed": seed, "correct": "ff",
                "accuracy": self.accuracy[candidate] - 0.004 + seed / 10000,
                "extra": {"standard": 0.9}}, seconds=4.0)  # fmt: skip
        for k, candidate in enumerate(winners):
            difference = self.accuracy[candidate] - self.accuracy[reference]
            self.add(g, "final", 1000 + k, "compared", {
                "candidate": candidate, "reference": reference,
                "parameters": self.sizes[candidate][0], "reference_parameters": 5210, "seeds": 3,
                "accuracy": self.accuracy[candidate], "difference": difference,
                "accuracy_reference": self.accuracy[reference], "low": difference - 0.008,
                "high": difference + 0.008, "standard": 0.93, "standard_reference": 0.9,
            })  # fmt: skip
        self.add(g, "end", 0, "ended", {"reason": "generations", "clock_dependent": False})


def write_run(folder: Path, builder: Builder, events: list[Event]) -> Path:
    """Write a run folder that holds these events and the builder's sources."""
    (folder / "sources").mkdir(parents=True)
    for candidate, source in builder.sources.items():
        (folder / "sources" / f"{candidate}.py").write_text(source, encoding="utf-8")
    with Ledger.create(folder / "ledger.sqlite") as ledger:
        ledger.record(events)
    return folder


def without_intervals(event: Event) -> Event:
    """The event as ledgers had it before an interval was recorded with each score."""
    gone = {"low", "high"} if event.kind == "scored" else set()
    gone |= {name for name in event.payload if name.startswith(("interval_", "held_count"))}
    payload = {name: value for name, value in event.payload.items() if name not in gone}
    return replace(event, payload=payload)
