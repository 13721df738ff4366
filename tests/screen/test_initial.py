"""Initial weights from a table: the scale stays, and what is not symmetric is left to torch."""

import math
import subprocess
import sys

import torch

from evoprompt.screen.initial import Table

IN_A_PROCESS_OF_ITS_OWN = """
import math, torch
from torch import nn
from evoprompt.screen import initial
initial.install()
torch.manual_seed(0)
linear = nn.Linear(300, 200)
bound = 1 / math.sqrt(300)
assert abs(float(linear.weight.std()) * math.sqrt(3) / bound - 1) < 0.1
assert not torch.equal(linear.weight, nn.Linear(300, 200).weight)
rates = nn.init.uniform_(torch.empty(1000), 0.001, 0.1)
assert 0.001 <= float(rates.min()) and float(rates.max()) <= 0.1
assert abs(float(nn.init.normal_(torch.empty(1000), 5.0, 0.1).mean()) - 5) < 0.1
assert abs(float(nn.init.normal_(torch.empty(9999), 0.0, 0.1).std()) - 0.1) < 0.01
half = nn.init.normal_(torch.empty(100, dtype=torch.float64), 0.0, 1.0)
assert half.dtype == torch.float64 and float(half.std()) > 0.5
try:
    nn.init.kaiming_uniform_(torch.empty(3))
except ValueError as error:
    print(error)
"""


def test_a_table_is_read_on_in_a_circle_and_scaled() -> None:
    table = Table()
    first = table.fill(torch.empty(1000), 0.5)
    second = table.fill(torch.empty(1000), 0.5)
    assert not torch.equal(first, second)
    assert abs(float(first.std()) - 0.5) < 0.05
    large = table.fill(torch.empty((1 << 20) + 7), 1.0)
    assert torch.equal(large[-7:], large[:7])
    assert math.isfinite(float(large.sum()))


def test_only_symmetric_initialisations_are_replaced() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "Fan in and fan out" in ended.stdout
