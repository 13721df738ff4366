"""Calls that no graph can hold, refused by a name that says why: control flow, random numbers.

Not promised: that nothing else is refused. Whatever has no rule is refused under its own name.
"""

from typing import Any

import torch
from torch import Tensor

from evoprompt.screen.recorder.tape import RANDOM, Rule, Tape, rule

T = Tensor
_HOMES = (torch, T)


def _refuse(reason: str) -> Rule:
    def write(tape: Tape, out: Any, *_: Any, **__: Any) -> None:
        tape.refuse(reason)

    return write


for _name in (
    *("item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__", "__complex__"),
    *("is_nonzero", "equal", "allclose", "__array__"),
):
    for _home in _HOMES:
        if hasattr(_home, _name):
            rule(getattr(_home, _name))(_refuse(f"control flow on data ({_name})"))
for _name in ("nonzero", "masked_select", "argwhere", "unique", "unique_consecutive"):
    for _home in _HOMES:
        if hasattr(_home, _name):
            rule(getattr(_home, _name))(_refuse(f"a size that depends on data ({_name})"))
for _name in (
    *("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like"),
    *("bernoulli", "bernoulli_", "multinomial", "normal", "normal_", "uniform_", "random_"),
    *("poisson", "exponential_", "geometric_", "log_normal_", "cauchy_"),
):
    for _home in _HOMES:
        if hasattr(_home, _name):
            RANDOM.add(getattr(_home, _name))
