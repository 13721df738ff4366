"""How often, and by how much, does a search beat the reference CNN? Five seeds of the same preset.

    python benchmarks/search_seeds.py [--preset mnist1d] [--seeds 5] [--control none] [--name seeds]

Each seed is a run of its own (runs/NAME-CONTROL-SEED); one that exists is resumed, so the command
can be stopped and started again. For every run the smaller-or-equal winner of its final comparison
is taken: accuracy on the test samples, difference to the reference with its 95 % interval. The
last line is one JSON object.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from evoprompt.ledger import Ledger


def main() -> None:
    parser = argparse.ArgumentParser(description="Five seeds of one search against the reference.")
    parser.add_argument("--preset", default="mnist1d")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--control", default="none")
    parser.add_argument("--name", default="seeds")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    given = parser.parse_args()
    rows = []
    for seed in range(given.seeds):
        folder = given.runs / f"{given.name}-{given.control}-{seed}"
        started = time.monotonic()
        _search(folder, given.preset, given.control, seed)
        row = {"seed": seed, "seconds": round(time.monotonic() - started), **_result(folder)}
        rows.append(row)
        print(json.dumps(row), flush=True)
    beaten = [r for r in rows if r["difference"] is not None and r["difference"] > 0]
    clear = [r for r in beaten if r["low"] > 0]
    known = [r["difference"] for r in rows if r["difference"] is not None]
    summary = {
        "runs": len(rows),
        "beats_reference": len(beaten),
        "interval_above_zero": len(clear),
        "mean_difference": sum(known) / len(known) if known else None,
        "differences": known,
        "tau_predictor": [r["tau_predictor"] for r in rows],
        "tau_prior": [r["tau_prior"] for r in rows],
        "best_validation": [r["best_validation"] for r in rows],
    }
    print(json.dumps(summary))


def _search(folder: Path, preset: str, control: str, seed: int) -> None:
    words = ["search", preset, "--runs", str(folder.parent), "--run", folder.name]
    words += ["--seed", str(seed), "--control", control]
    if folder.exists():
        words = ["resume", str(folder)]
    subprocess.run([sys.executable, "-m", "evoprompt", *words], check=True)


def _result(folder: Path) -> dict:
    """Return the comparison of the best program that is no larger than the reference."""
    with Ledger(folder / "ledger.sqlite") as ledger:
        events = ledger.events()
    compared = [e.payload for e in events if e.kind == "compared" and "difference" in e.payload]
    small = [c for c in compared if c["parameters"] <= c["reference_parameters"]]
    best = small[0] if small else None  # winners are ordered by validation accuracy, not by test
    audits = [e.payload for e in events if e.kind == "predictor"]
    trained = [e.payload["accuracy"] for e in events if e.kind == "trained"]
    return {
        "difference": best and best["difference"],
        "low": best and best["low"],
        "high": best and best["high"],
        "accuracy": best and best["accuracy"],
        "parameters": best and best["parameters"],
        "tau_predictor": audits[-1]["tau_predictor"],
        "tau_prior": audits[-1]["tau_prior"],
        "best_validation": max(trained),
        "trained": len(trained),
    }


if __name__ == "__main__":
    main()
