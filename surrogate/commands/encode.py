"""`encode FILE.onnx`: the text of a network as the predictor reads it, and its hash."""

import argparse
from pathlib import Path

from surrogate.encode import read


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    command = commands.add_parser("encode", help="print the text and the hash of an ONNX file")
    command.add_argument("file", type=Path, metavar="FILE.onnx")
    command.add_argument("--task", default="", help="name of the task, for the header line")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the text, then one line with the hash and the sizes."""
    graph = read(options.file, options.task)
    print(graph.text)
    print(f"# {graph.hash}  {graph.parameters} parameters  {graph.macs} MACs  depth {graph.depth}")
    return 0
