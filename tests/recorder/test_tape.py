"""The recorder beside other modes, and what it leaves behind."""

import gc
import weakref

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from evoprompt.screen.recorder import record


class Listening(TorchFunctionMode):
    """A mode of somebody else."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.heard.append(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


def test_other_modes_hear_python_functions_as_before() -> None:
    x = torch.ones(2, 3)
    with Listening() as mode:
        F.relu(x)
        F.layer_norm(x, (3,))
    assert mode.heard == ["relu", "layer_norm"]


def test_a_recording_leaves_no_marks_and_keeps_no_module() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    recording = record(net, lambda batch: (torch.ones(batch, 3),))
    assert all("_recorded" not in weight.__dict__ for weight in net.parameters())
    seen = weakref.ref(net)
    del net
    gc.collect()
    assert seen() is None
    assert recording.model.graph.node


def test_the_collector_is_left_as_it_was() -> None:
    net = nn.Linear(3, 2).eval()
    for is_on in (True, False):
        (gc.enable if is_on else gc.disable)()
        record(net, lambda batch: (torch.ones(batch, 3),))
        assert gc.isenabled() == is_on
    gc.enable()


def test_a_sum_that_begins_with_a_zero_records_no_addition_of_it() -> None:
    class Net(nn.Module):
        def forward(self, x):
            return sum([x, x * 2, x * 3])

    recording = record(Net().eval(), lambda batch: (torch.ones(batch, 3),))
    assert [node.op_type for node in recording.model.graph.node].count("Add") == 2
