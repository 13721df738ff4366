"""`pretrain TEXTS.jsonl --out FOLDER`: encoders from texts without labels."""

import argparse
from pathlib import Path

from surrogate.commands.folder import save_whole
from surrogate.errors import SurrogateError, problem

FEWEST_TEXTS = 100


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    command = commands.add_parser("pretrain", help="train encoders on texts without labels")
    command.add_argument("texts", type=Path, metavar="TEXTS.jsonl")
    command.add_argument("--minutes", type=float, default=10.0)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--without", nargs="*", default=[], metavar="TARGET", help="left out")
    command.add_argument("--out", type=Path, required=True, help="folder for the predictor")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train for so long and write a predictor without labels."""
    import torch

    from surrogate.data import read_corpus
    from surrogate.pretrain import pretrain
    from surrogate.score import Surrogate

    torch.set_num_threads(1)
    texts, proxies = read_corpus(options.texts)
    if len(texts) < FEWEST_TEXTS:
        what, expected = f"{len(texts)} texts", f"at least {FEWEST_TEXTS}"
        action = "Encode more networks"
        raise SurrogateError(problem(what, str(options.texts), expected, action))
    unknown = sorted(set(options.without) - set(proxies or {}))
    if unknown:
        what, expected = f"no target '{unknown[0]}'", f"one of {', '.join(proxies or {})}"
        raise SurrogateError(problem(what, str(options.texts), expected, "Correct --without"))
    proxies = {k: v for k, v in (proxies or {}).items() if k not in options.without}
    base = pretrain(texts, proxies, options.minutes, options.seed)
    save_whole(Surrogate(base), options.out)
    print(f"Encoders trained on {len(texts)} texts; written to {options.out}")
    return 0
