"""The predictor's commands. A mistake is one line on the error stream and exit code 2.

    python -m surrogate COMMAND --help

Each command's module says what it reads and prints. Heavy libraries are imported by the command
that needs them; `encode` imports no torch.
"""

import argparse
import os
import sys

from surrogate.commands import encode, explain, fit, nearest, pretrain, report, score
from surrogate.errors import SurrogateError

COMMANDS = (score, fit, report, explain, nearest, encode, pretrain)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 some files were left out, 2 a mistake."""
    options = _parser().parse_args(arguments)
    try:
        code = options.run(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SurrogateError as error:
        print(f"surrogate: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    description = "Predict the accuracy of neural networks from their ONNX graphs."
    parser = argparse.ArgumentParser(prog="python -m surrogate", description=description)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
