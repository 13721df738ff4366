"""Questions about steps that the patterns of the library's classes ask.

In: a step. Out: what kind of layer it is, None or an empty answer where it is another.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from evoprompt.rewrite.steps import Line, Part, Step
from surrogate.ir import Node

ACTIVATIONS = {
    "nn.ReLU()": "",
    "nn.GELU()": ", F.gelu",
    "nn.SiLU()": ", F.silu",
    "nn.ELU()": ", F.elu",
    "nn.Mish()": ", F.mish",
    "nn.LeakyReLU()": ", F.leaky_relu",
    "nn.Tanh()": ", F.tanh",
}
_CONV = re.compile(r"nn\.LazyConv[12]d\((\d+), (\d+), (\d+), (\d+)(?:, (groups|dilation)=(\d+))?\)")
_DEPTHWISE = re.compile(
    r"Channels\(lambda c: nn\.Conv[12]d\(c, c, (\d+), (\d+), (\d+), groups=c\)\)"
)
TOKEN_NORM = "Features(lambda c: nn.LayerNorm(c, elementwise_affine=False))"
NORM = re.compile(r"nn\.LazyBatchNorm[12]d\(\)")


class Conv(NamedTuple):
    """A convolution with bias whose padding is half its kernel."""

    channels: int
    kernel: int
    stride: int
    groups: int = 1
    dilation: int = 1

    @property
    def is_plain(self) -> bool:
        """Whether it has neither groups nor dilation."""
        return self.groups == 1 == self.dilation

    @property
    def is_pointwise(self) -> bool:
        """Whether it mixes channels and nothing else."""
        return self[1:] == (1, 1, 1, 1)


Found = tuple[int, str]
"""How many steps, and the line that does them."""


def text_of(step: Step) -> str:
    """The text of a line."""
    return step.text if isinstance(step, Line) else ""


def conv_of(step: Step) -> Conv | None:
    """A convolution whose padding keeps positions, but for its stride."""
    match = _CONV.fullmatch(text_of(step))
    if not match:
        return None
    channels, kernel, stride, padding = map(int, match.groups()[:4])
    named = {match[5]: int(match[6])} if match[5] else {}
    conv = Conv(channels, kernel, stride, **named)
    return conv if padding == kernel // 2 * conv.dilation and kernel % 2 else None


def depthwise_of(step: Step) -> tuple[int, int] | None:
    """Kernel and stride."""
    match = _DEPTHWISE.fullmatch(text_of(step))
    if not match:
        return None
    kernel, stride, padding = map(int, match.groups())
    return (kernel, stride) if padding == kernel // 2 and kernel % 2 else None


def closing_of(steps: Sequence[Step]) -> str | None:
    """The last argument for a norm and an activation."""
    if len(steps) < 2 or not NORM.fullmatch(text_of(steps[0])):
        return None
    return ACTIVATIONS.get(text_of(steps[1]))


def ops_of(step: Step) -> list[str]:
    """The operators of a part."""
    return [node.op for node in step.nodes] if isinstance(step, Part) else []


def with_op(step: Part, op: str) -> list[Node]:
    """The nodes of one operator."""
    return [node for node in step.nodes if node.op == op]


def positions_of(step: Part) -> tuple[int, ...]:
    """The axes of positions in front of a part."""
    return tuple(range(2, len(step.entry.shape)))
