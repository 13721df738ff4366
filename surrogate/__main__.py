"""The commands: score, encode, fit, pretrain. Errors are one line and exit code 2.

python -m surrogate score FILE.onnx... [--model FOLDER]
python -m surrogate encode FILE.onnx
python -m surrogate fit TABLE.csv --out FOLDER [--model FOLDER]
python -m surrogate pretrain TEXTS.jsonl --minutes N --out FOLDER
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from surrogate.encode import Graph, read
from surrogate.errors import SurrogateError, problem
from surrogate.rank import kendall_tau, prior_ranks

FEWEST_TEXTS = 100  # for pre-training


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except SurrogateError as error:
        print(f"surrogate: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m surrogate", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("score", help="rank ONNX files by expected accuracy")
    command.add_argument("files", nargs="+", type=Path, metavar="FILE.onnx")
    command.add_argument("--model", type=Path, help="folder of a predictor; default: built in")
    command.set_defaults(run=_score)
    command = commands.add_parser("encode", help="print the text and the hash of an ONNX file")
    command.add_argument("file", type=Path, metavar="FILE.onnx")
    command.set_defaults(run=_encode)
    command = commands.add_parser("fit", help="learn from a table of labelled networks")
    command.add_argument("table", type=Path, metavar="TABLE.csv")
    command.add_argument("--out", type=Path, required=True, help="folder for the predictor")
    command.add_argument("--model", type=Path, help="predictor whose encoder is used")
    command.set_defaults(run=_fit)
    command = commands.add_parser("pretrain", help="train an encoder on texts without labels")
    command.add_argument("texts", type=Path, metavar="TEXTS.jsonl")
    command.add_argument("--minutes", type=float, default=10.0)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--out", type=Path, required=True, help="folder for the predictor")
    command.set_defaults(run=_pretrain)
    return parser


def _score(options: argparse.Namespace) -> None:
    from surrogate.score import Surrogate

    surrogate = Surrogate.load(options.model)
    graphs = [read(path) for path in options.files]
    mean, spread = surrogate.score([graph.text for graph in graphs])
    prior = prior_ranks(
        np.log([graph.parameters + 1 for graph in graphs]),
        np.log([graph.macs + 1 for graph in graphs]),
    )
    count = surrogate.label_count
    is_prior = count == 0
    order = np.argsort(-(prior if is_prior else mean), kind="stable")
    print(
        f"{'rank':>4}  {'prior' if is_prior else 'mean':>6}  {'90 % interval':>15}  "
        f"{'parameters':>10}  {'MACs':>11}  {'depth':>5}  file"
    )
    for place, index in enumerate(order, 1):
        value = prior[index] if is_prior else mean[index]
        interval = _interval(float(mean[index]), float(spread[index]))
        sizes = _sizes(graphs[index])
        print(f"{place:>4}  {value:>6.3f}  {interval:>15}  {sizes}  {options.files[index]}")
    if is_prior:
        print(
            "This predictor has seen no labels: the score is only the prior, the mean rank of "
            "parameters and MACs among these files. Give it labels with `fit`."
        )
    else:
        print(f"Predictor {surrogate.version}, {count} labels.")


def _interval(mean: float, spread: float) -> str:
    low, high = max(0.0, mean - 1.645 * spread), min(1.0, mean + 1.645 * spread)
    return f"{low:.3f}..{high:.3f}"


def _sizes(graph: Graph) -> str:
    return f"{graph.parameters:>10}  {graph.macs:>11}  {graph.depth:>5}"


def _encode(options: argparse.Namespace) -> None:
    graph = read(options.file)
    print(graph.text)
    print(f"# {graph.hash}  {graph.parameters} parameters  {graph.macs} MACs  depth {graph.depth}")


def _fit(options: argparse.Namespace) -> None:
    from surrogate.data import read_table
    from surrogate.score import Surrogate

    texts, accuracies = read_table(options.table)
    surrogate = Surrogate.load(options.model).fit(texts, accuracies, seed=0)
    surrogate.save(options.out)
    mean, _ = surrogate.score(texts)
    print(
        f"Predictor {surrogate.version} learned {len(texts)} labels "
        f"(Kendall tau on the same labels {kendall_tau(mean, np.array(accuracies)):.2f}); "
        f"written to {options.out}"
    )


def _pretrain(options: argparse.Namespace) -> None:
    import torch

    from surrogate.data import read_corpus
    from surrogate.pretrain import pretrain
    from surrogate.score import Surrogate, make_base

    torch.set_num_threads(1)
    texts, proxies = read_corpus(options.texts)
    if len(texts) < FEWEST_TEXTS:
        what = f"{len(texts)} texts"
        expected, action = f"at least {FEWEST_TEXTS}", "Encode more networks"
        raise SurrogateError(problem(what, str(options.texts), expected, action))
    encoder, projection = pretrain(texts, proxies, options.minutes, options.seed)
    Surrogate(make_base(encoder, projection)).save(options.out)
    print(f"Encoder trained on {len(texts)} texts; written to {options.out}")


if __name__ == "__main__":
    sys.exit(main())
