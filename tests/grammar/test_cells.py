"""Networks of cells: they pass the rules and the recorder, and none is of NAS-Bench-201."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
import torch

from evoprompt.grammar.cell_source import render_cell_net
from evoprompt.grammar.cells import (
    BENCHMARK_SKELETON,
    OPERATORS,
    ORDERS,
    RARE_MAC_LIMIT,
    CellNet,
    Edge,
    macs,
    random_cell_net,
)
from evoprompt.screen.recorder import record
from evoprompt.screen.rules import Prepared, prepare
from surrogate import encode


def graph_of(net: CellNet) -> encode.Graph:
    torch.set_num_threads(1)
    names: dict = {"__name__": "candidate"}
    exec(compile(render_cell_net(net), "candidate", "exec"), names)
    module = names["Net"](net.in_shape, net.num_classes).eval()
    model = record(module, lambda batch: (torch.randn(batch, *net.in_shape),)).model
    return encode.read(model)


@pytest.mark.parametrize("seed", range(40))
def test_a_random_network_passes_the_rules_and_the_recorder_and_has_the_macs_we_count(seed):
    net = random_cell_net(Random(seed))
    source = render_cell_net(net)
    prepared = prepare(source)
    assert isinstance(prepared, Prepared)
    assert (prepared.source.strip(), prepared.adapted) == (source.strip(), ())
    assert graph_of(net).macs == macs(net) + net.widths[-1] * net.num_classes


def plain_net(**changes) -> CellNet:
    net = CellNet(
        in_shape=(3, 16, 16),
        num_classes=10,
        widths=(8, 16),
        counts=(1, 1),
        stem=(3, 1),
        step="conv",
        order="conv-norm-act",
        norm="batch",
        activation="ReLU",
        edges=(Edge(0, 1, "conv3"), Edge(0, 2, "conv1"), Edge(1, 2, "skip")),
        join="sum",
        inner=1.0,
        residual=False,
        head="Avg",
    )
    return replace(net, **changes)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("in_shape", [(1, 40), (3, 16, 16)])
def test_every_operator_runs_in_one_and_two_dimensions(operator, in_shape):
    net = plain_net(in_shape=in_shape, edges=(Edge(0, 1, operator), Edge(0, 2, "conv1")))
    net = replace(net, edges=(*net.edges, Edge(1, 2, "skip")), join="concat", inner=0.5)
    assert graph_of(net).macs == macs(net) + 160


def test_every_way_to_build_a_network_is_another_graph():
    nets = [
        *(plain_net(order=order) for order in ORDERS),
        *(plain_net(step=step) for step in ("residual", "pool")),
        *(plain_net(join="concat"), plain_net(inner=2.0), plain_net(residual=True)),
        *(plain_net(norm="none"), plain_net(activation="GELU"), plain_net(head="Max")),
    ]
    assert len({graph_of(net).hash for net in nets}) == len(nets)


def test_no_network_has_the_skeleton_of_the_benchmark_and_none_is_too_large():
    nets = [random_cell_net(Random(seed)) for seed in range(3000)]
    assert BENCHMARK_SKELETON == ((16, 32, 64), (5, 5, 5))
    assert not any((net.widths, net.counts) == BENCHMARK_SKELETON for net in nets)
    assert max(macs(net) for net in nets) <= RARE_MAC_LIMIT
    assert sum(macs(net) < 15_000_000 for net in nets) > 0.95 * len(nets)
    near = [net for net in nets if net.counts == (5, 5, 5) or net.widths == (16, 32, 64)]
    assert near  # what lies beside the benchmark is drawn


def test_a_quarter_of_the_networks_is_wired_as_the_benchmark_is():
    nets = [random_cell_net(Random(seed)) for seed in range(1000)]
    alike = [
        net
        for net in nets
        if net.join == "sum"
        and net.order == "act-conv-norm"
        and net.activation == "ReLU"
        and {edge.operator for edge in net.edges} <= {"conv1", "conv3", "avg3", "skip"}
    ]
    assert len(alike) > 250
    assert len({net.edges for net in alike}) > 100
    operators = Counter(edge.operator for net in nets for edge in net.edges)
    assert set(operators) == set(OPERATORS)
