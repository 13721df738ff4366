"""Graph production alone: module built and warm in this process, one thread, batch size 1.

Ours: `record` (its forwards at two batch sizes included) and `onnx.checker`. Theirs: one call of
`torch.onnx.export` as it comes (fixed batch size, weights in the file), and the same checker. The
ratios are those of the CPU times summed over the nets, so the slow nets decide them. A part of
benchmarks/screen.py, which has a last line of JSON; run that.
"""

import contextlib
import importlib
import io
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial

import onnx
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import nn

from evoprompt.candidate import TaskShape
from evoprompt.screen.recorder import record
from surrogate import encode

REPETITIONS = {"recorder": 9, "torchscript": 5, "dynamo": 1}  # after one that does not count
DEPTHS = (8, 32, 128, 512)


def against_exporters(
    shapes: Mapping[str, TaskShape], progress: Progress, console: Console
) -> dict[str, float]:
    """Time the three ways for each net and return the ratios of the sums."""
    routes = {"recorder": recorder, "torchscript": torchscript, "dynamo": dynamo}
    task = progress.add_task("graph production", total=len(shapes))
    table = Table("net", *(f"{name} ms" for name in routes), title="Graph production and check")
    sums = dict.fromkeys(routes, 0.0)
    torch.set_num_threads(1)
    quietly(lambda: dynamo(*build("cnn1d", shapes["cnn1d"])))  # its imports take seconds
    for name, shape in shapes.items():
        net, example = build(name, shape)
        medians: dict[str, float] = {}
        for route, make in routes.items():
            call = partial(make, net, example)
            if route != "dynamo":
                quietly(call)
            times = [seconds(call) for _ in range(REPETITIONS[route])]
            medians[route] = statistics.median(times)
        for route, median in medians.items():
            sums[route] += median
        table.add_row(name, *(f"{1000 * median:.1f}" for median in medians.values()))
        progress.advance(task)
    table.add_row("sum", *(f"{1000 * value:.1f}" for value in sums.values()), style="bold")
    console.print(table)
    return {
        "x_torchscript": round(sums["torchscript"] / sums["recorder"], 2),
        "x_dynamo": round(sums["dynamo"] / sums["recorder"], 1),
    }


def by_depth(progress: Progress, console: Console) -> None:
    """Time each step for stacks of convolutions of growing depth."""
    names = ("build", "record", "onnx.checker", "encode")
    table = Table("layers", *(f"{name} ms" for name in names), "record ms/layer", "all ms/layer")
    table.title = "Stacks of Conv, BatchNorm and ReLU (8 channels, 8x8)"
    task = progress.add_task("depth", total=len(DEPTHS))
    for depth in DEPTHS:
        net, example = stack(depth), torch.randn(1, 8, 8, 8)
        model = recorded(net, example)
        data = model.SerializeToString()
        times = [
            best(partial(stack, depth)),
            best(partial(recorded, net, example)),
            best(partial(onnx.checker.check_model, model)),
            best(lambda data=data: encode.read(data).text),
        ]
        cells = [f"{1000 * value:.1f}" for value in times]
        rates = [f"{1000 * value / depth:.3f}" for value in (times[1], sum(times))]
        table.add_row(str(depth), *cells, *rates)
        progress.advance(task)
    console.print(table)


def stack(depth: int) -> nn.Module:
    """Return as many convolutions, each with its norm and ReLU, and a head."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10)).eval()


def build(name: str, shape: TaskShape) -> tuple[nn.Module, torch.Tensor]:
    """Return one of the nets, called once, and an example."""
    net = importlib.import_module(f"nets.{name}").Net(shape.in_shape, shape.num_classes).eval()
    example = torch.randn(1, *shape.in_shape)
    with torch.no_grad():
        net(example)
    return net, example


def recorded(net: nn.Module, example: torch.Tensor) -> onnx.ModelProto:
    """Return what the recorder makes of a module."""
    return record(net, lambda batch: (example.expand(batch, *example.shape[1:]).clone(),)).model


def recorder(net: nn.Module, example: torch.Tensor) -> None:
    """Record and check."""
    onnx.checker.check_model(recorded(net, example))


def torchscript(net: nn.Module, example: torch.Tensor) -> None:
    """Export by tracing and check; deprecated in torch."""
    file = io.BytesIO()
    torch.onnx.export(net, (example,), file, dynamo=False)  # pyright: ignore[reportArgumentType]
    onnx.checker.check_model(file.getvalue())


def dynamo(net: nn.Module, example: torch.Tensor) -> None:
    """Export by torch.export and check; the default in torch."""
    program = torch.onnx.export(net, (example,), dynamo=True, verbose=False)
    assert program is not None
    onnx.checker.check_model(program.model_proto)


def seconds(action: Callable[[], object]) -> float:
    """Return the CPU time of one call; the machine may be busy."""
    began = time.process_time()
    quietly(action)
    return time.process_time() - began


def best(action: Callable[[], object]) -> float:
    """Return the shortest of three calls, after one that does not count."""
    quietly(action)
    return min(seconds(action) for _ in range(3))


def quietly(action: Callable[[], object]) -> None:
    """Call something without its warnings and prints."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            with contextlib.redirect_stderr(io.StringIO()):
                action()
    finally:
        logging.disable(logging.NOTSET)
