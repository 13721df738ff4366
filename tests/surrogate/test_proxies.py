"""Zero-cost proxies: finite, the same for the same seed, and what their formulas say."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from surrogate.proxies import BATCH, PROXIES, UNIT_RIDGE, ProxyError, proxies


def mlp(*widths: int, bias: bool = True, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs, bias=bias), activation()]
    return nn.Sequential(*layers[:-1])


class Calls(nn.Module):
    """One hidden layer whose activation is a call in forward."""

    def __init__(self, call):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(12, 20), nn.Linear(20, 4)
        self.call = call

    def forward(self, x):
        return self.second(self.call(self.first(x)))


class Mixed(nn.Module):
    """Convolution, BatchNorm, attention, LayerNorm and recurrence."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv1d(1, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.GELU())
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.cell = nn.GRU(8, 6, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 10))

    def forward(self, x):
        x = self.stem(x).transpose(1, 2)
        x = self.norm(x + self.mix(x, x, x, need_weights=False)[0])
        return self.head(self.cell(x)[0][:, -1])


def test_every_figure_is_finite_and_follows_the_seed_alone():
    found = proxies(Mixed(), (1, 40), 10, seed=3)
    assert tuple(found) == PROXIES
    assert all(math.isfinite(value) for value in found.values())
    torch.manual_seed(99)
    assert proxies(Mixed(), (1, 40), 10, seed=3) == found
    other = proxies(Mixed(), (1, 40), 10, seed=4)
    same = {name for name in PROXIES if other[name] == found[name]}
    assert same == {"synflow", "l2_norm"}  # they see no data


def test_the_network_and_the_global_generator_are_left_as_they_were():
    net = Mixed().eval()
    net.stem.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    state = torch.random.get_rng_state()
    proxies(net, (1, 40), 10)
    after = net.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(after[name].dtype == value.dtype for name, value in before.items())
    assert [module.training for module in net.modules()] == modes
    assert all(weight.grad is None for weight in net.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_nwot_is_the_log_determinant_of_the_kernel_of_codes():
    net = mlp(12, 20, 20, 4)
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(BATCH, 12, generator=generator)
    first = net[0](inputs)
    codes = torch.cat([first > 0, net[2](first.relu()) > 0], 1).numpy()
    kernel = np.array([[(one == two).sum() for two in codes] for one in codes], float)
    expected = np.linalg.slogdet(kernel + np.eye(BATCH))[1]
    assert proxies(net, (12,), 4, seed=5)["nwot"] == pytest.approx(expected, rel=1e-6)


def test_a_linear_network_has_no_codes():
    found = proxies(mlp(12, 20, 4, activation=nn.Identity), (12,), 4)
    assert found["nwot"] == 0
    assert found["nwot_unit"] == pytest.approx(BATCH * math.log(UNIT_RIDGE))


def test_activations_are_seen_however_they_are_called():
    calls = [nn.ReLU(), nn.ReLU(inplace=True), F.relu, torch.relu, lambda x: x.relu(), F.relu_]
    found = [proxies(Calls(call), (12,), 4) for call in calls]
    assert found[0]["nwot"] > 0
    assert all(other == found[0] for other in found)
    smooth = [proxies(Calls(call), (12,), 4) for call in (F.gelu, F.silu, torch.tanh)]
    assert {other["nwot"] for other in smooth} == {found[0]["nwot"]}  # the same signs


def test_more_units_tell_more_examples_apart():
    scores = [proxies(mlp(12, width, width, 4), (12,), 4)["nwot"] for width in (8, 32, 128)]
    assert scores == sorted(scores)


def test_synflow_is_the_flow_of_absolute_weights():
    net = mlp(12, 20, 4, bias=False)
    first, second = (layer.weight.detach().abs().double() for layer in (net[0], net[2]))
    flow = (second @ first @ torch.ones(12, dtype=torch.float64)).sum()
    expected = math.log(2 * float(flow))  # every layer carries the whole flow
    assert proxies(net, (12,), 4)["synflow"] == pytest.approx(expected)


def test_synflow_grows_with_width_and_depth():
    narrow, wide, deep = mlp(12, 20, 4), mlp(12, 80, 4), mlp(12, 20, 20, 20, 4)
    scores = [proxies(net, (12,), 4)["synflow"] for net in (narrow, wide, deep)]
    assert scores[0] < scores[1]
    assert scores[0] < scores[2]


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm, lambda n: nn.GroupNorm(4, n)])
def test_synflow_takes_norms_out_but_keeps_their_scale(norm):
    net = mlp(12, 20, 4, bias=False)
    layer = norm(20)
    with_norm = nn.Sequential(net[0], layer, net[1], net[2])
    plain = proxies(net, (12,), 4)["synflow"]
    total = 3 / 2 * math.exp(plain)  # the norm's scale carries the flow once more
    assert proxies(with_norm, (12,), 4)["synflow"] == pytest.approx(math.log(total), rel=1e-5)
    nn.init.constant_(layer.weight, 2.0)
    doubled = proxies(with_norm, (12,), 4)["synflow"]
    assert doubled == pytest.approx(math.log(2 * total), rel=1e-5)


def test_a_matrix_that_forward_makes_itself_takes_part_in_synflow():
    plain = proxies(Calls(lambda y: y), (12,), 4)["synflow"]
    doubled = proxies(Calls(lambda y: y @ (2 * torch.eye(20))), (12,), 4)["synflow"]
    assert plain + 0.9 * math.log(2) < doubled <= plain + math.log(2)  # the last bias stays
    assert torch.get_default_dtype() == torch.float32


def test_a_very_deep_network_overflows_nowhere():
    found = proxies(mlp(12, *[64] * 100, 4), (12,), 4)
    assert all(math.isfinite(value) for value in found.values())


def test_jacov_is_lowest_where_all_examples_have_one_gradient():
    linear = proxies(mlp(12, 20, 4, activation=nn.Identity), (12,), 4)["jacov"]
    narrow = proxies(mlp(12, 8, 4), (12,), 4)["jacov"]
    wide = proxies(mlp(12, 256, 256, 4), (12,), 4)["jacov"]
    assert linear < -1e6
    assert linear < narrow < wide < 0


def test_dropout_layers_change_nothing():
    net = mlp(12, 20, 4)
    with_dropout = nn.Sequential(net[0], net[1], nn.Dropout(0.5), net[2])
    assert proxies(with_dropout, (12,), 4) == proxies(net, (12,), 4)


def test_an_input_that_is_not_used_has_zero_gradients():
    class Blind(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.ones(4))

        def forward(self, x):
            return self.bias + torch.zeros(len(x), 4)

    found = proxies(Blind(), (12,), 4)
    assert all(math.isfinite(value) for value in found.values())
    assert found["jacov"] < -1e6


def test_a_network_without_finite_proxies_is_named():
    net = mlp(12, 20, 4)
    nn.init.constant_(net[0].weight, math.nan)
    with pytest.raises(ProxyError, match=r"its proxy .* is nan"):
        proxies(net, (12,), 4)
