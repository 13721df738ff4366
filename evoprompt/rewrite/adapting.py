"""Wrappers whose branches differ in shape: the library's classes bring them together themselves.

In: a wrapper as the graph has it, with resizing and padding among its steps. Out: the wrapper of
the library that adds those itself (`match`, `resize`), or the same one.
"""

import re

import numpy as np

from evoprompt.rewrite.matching import TOKEN_NORM, ops_of, text_of
from evoprompt.rewrite.steps import Chain, Line, Part, Step, Wrap
from surrogate.ir import Constant, Node, Ref

_RESIZE = re.compile(r"nn\.Upsample\((size|scale_factor)=[\d(), ]+\)")
_DOWN = re.compile(r"nn\.MaxPool[12]d\(3, 2, 1\)")


def adapted(step: Step) -> Chain:
    """The wrapper of the library that this is, if it is one, with what has to stand before it."""
    if not isinstance(step, Wrap):
        return (step,)
    match step.kind:
        case "Residual":
            return (_u_shape(step),)
        case "Gate":
            return (Wrap("Gate", (_trimmed(step.branches[0]),), step.shape),)
        case "Sum":
            return _behind_turn(step) or (_sum(step),)
        case "Concat":
            return (_concat(step),)
    return (step,)


def _behind_turn(step: Wrap) -> Chain:
    """A Residual that begins with a norm of channels, behind a transposition that cancels its own.

    The sum reads the tokens as they were; the norm reads them without turning them twice.
    """
    if len(step.branches) != 2:
        return ()
    for long, short in (step.branches, step.branches[::-1]):
        if len(short) != 1 or len(long) < 3 or text_of(long[0]) != TOKEN_NORM:
            continue
        turn, back = short[0], long[1]
        is_turn = ops_of(turn) == ["Transpose"] == ops_of(back) and len(turn.shape) == 3
        if is_turn and turn.shape[1:] == long[0].shape[:0:-1] == back.shape[1:]:
            norm = Line("ChannelNorm()", turn.shape)
            return turn, Wrap("Residual", ((norm, *long[2:]),), step.shape)
    return ()


def _u_shape(step: Wrap) -> Step:
    """What is halved first and is brought back at last."""
    first, *rest = step.branches[0]
    inside = _trimmed(tuple(rest))
    is_down = bool(_DOWN.fullmatch(text_of(first)))
    return Wrap("UShape", (inside,), step.shape) if is_down and inside else step


def _sum(step: Wrap) -> Step:
    first, second, *others = step.branches
    for own, other in ((first, second), (second, first)):
        if not others and own and all(_is_adapter(one) for one in own) and other:
            return Wrap("Residual", (other,), step.shape)
    if _trimmed(first) != first and _trimmed(second) == second:
        first, second = second, first
    branches = (first, *map(_trimmed, (second, *others)))
    return Wrap("Sum", branches, step.shape) if all(branches) else step


def _concat(step: Wrap) -> Step:
    first, *others = step.branches
    if len(others) == 1 and len(first) == 1 and _is_resize(first[0]) and others[0]:
        return Wrap("Dense", (others[0],), step.shape)
    branches = (first, *(_without_resize(branch) for branch in others))
    return Wrap("Concat", branches, step.shape) if all(branches) else step


def _without_resize(branch: Chain) -> Chain:
    return branch[:-1] if len(branch) > 1 and _is_resize(branch[-1]) else branch


def _trimmed(branch: Chain) -> Chain:
    """A branch without what `match` does: other positions, then other channels."""
    place = len(branch)
    if place > 1 and _is_padding(branch[-1]):
        place -= 1
    if place > 1 and _is_resize(branch[place - 1]):
        place -= 1
    if place == len(branch) > 1 and _is_both(branch[-1]):
        place -= 1
    return branch[:place]


def _is_adapter(step: Step) -> bool:
    return _is_resize(step) or _is_padding(step) or _is_both(step)


def _is_both(step: Step) -> bool:
    if not isinstance(step, Part) or len(step.nodes) < 2:
        return False
    *others, last = step.nodes
    return _pads_channels(last) and all(map(_is_nearest, others))


def _is_resize(step: Step) -> bool:
    if _RESIZE.fullmatch(text_of(step)):
        return True
    return isinstance(step, Part) and all(map(_is_nearest, step.nodes))


def _is_padding(step: Step) -> bool:
    return isinstance(step, Part) and len(step.nodes) == 1 and _pads_channels(step.nodes[0])


def _pads_channels(node: Node) -> bool:
    """Zeros behind the channels, or the last channels cut off."""
    if node.op != "Pad" or len(node.inputs) > 1 or "mode" in node.attributes:
        return False
    pads: tuple[int, ...] = node.attributes["p"]  # type: ignore[assignment]
    behind = len(pads) // 2 + 1
    return pads[behind] != 0 and not any(pads[:behind]) and not any(pads[behind + 1 :])


def _is_nearest(node: Node) -> bool:
    """Positions picked as `F.interpolate` does to a size that is no multiple."""
    source, axis = node.inputs[0], node.attributes.get("a", 0)
    if node.op not in ("Gather", "Select") or not isinstance(source, Ref) or not axis > 1:  # type: ignore[operator]
        return False
    before, after = (shape[axis].offset for shape in (source.shape, node.shape))  # type: ignore[index]
    places = node.attributes.get("i")
    if node.op == "Gather":
        index = node.inputs[1]
        if not isinstance(index, Constant) or index.data is None or not index.is_static:
            return False
        places = tuple(index.data[0].reshape(-1).tolist())
    scale = np.float32(before) / np.float32(after)
    nearest = np.floor(np.arange(after, dtype=np.float32) * scale).astype(int)
    return len(node.shape) == len(source.shape) and places == tuple(nearest.tolist())
