"""One small change of a program, by the part that it changes.

In: a `Spec`, a random generator and a sign (-1 to shrink, 1 to grow, 0 either). Out: the changed
`Spec` before repair, or None where the part does not exist. The parts: width, depth, kernel,
stride, operator, wiring, norm, head; the last two heed no sign.
Not promised: that the changed program is legal or of bearable size; `variation` sees to it.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from evoprompt.grammar.choices import (
    HIDDEN_WIDTHS,
    LADDER,
    LONG_KINDS,
    OPERATOR_WEIGHTS,
    REACH_NAMES,
    WIDE_NAMES,
    argument_names,
    random_kind,
    random_leaf,
    values_of,
)
from evoprompt.grammar.families import random_head, random_layer
from evoprompt.grammar.layer_sizes import Shape
from evoprompt.grammar.shapes import input_shape
from evoprompt.grammar.spec import (
    ACTIVATION_FUNCTIONS,
    BRANCHED,
    CHAIN,
    Head,
    Layer,
    Spec,
)
from evoprompt.grammar.tree import Layers, Path, at, is_branch, paths, runs, shape_before, spliced

NORMS = ("norm", "activation", "dropout", "ChannelNorm")
"""Kinds of layers of the part "norm"."""
CHAIN_WRAPPERS = ("Residual", "Dense", "Gate", "UShape")
STEPS = {
    -1: (-4, -3, -2, -2, -1, -1),
    0: (-3, -2, -2, -1, -1, 1, 1, 2, 2, 3),
    1: (1, 1, 2, 2, 3, 4),
}
"""On the ladder of widths, by sign."""
LONGEST_RUN = 3
Change = Callable[[Spec, Random, int], Spec | None]


def _changed(spec: Spec, path: Path, new: Layer) -> Spec:
    return replace(spec, body=spliced(spec.body, path, 1, (new,)))


def _pick(rng: Random, spec: Spec, accepts: Callable[[Layer], object]) -> Path | None:
    found = [path for path in paths(spec.body) if accepts(at(spec.body, path))]
    return rng.choice(found) if found else None


def _argument(spec: Spec, rng: Random, names: tuple[str, ...]) -> tuple[Path, int, str] | None:
    """A path, the place of one of the named arguments there, and its name."""
    found = [
        (path, place, name)
        for path in paths(spec.body)
        for place, name in enumerate(argument_names(at(spec.body, path).kind))
        if name in names
    ]
    return rng.choice(found) if found else None


def _with_argument(layer: Layer, place: int, value: object) -> Layer:
    values = (*layer.arguments[:place], value, *layer.arguments[place + 1 :])
    return replace(layer, arguments=values)


def near_width(width: int, steps: int) -> int:
    """The width so many steps up or down the ladder."""
    nearest = min(range(len(LADDER)), key=lambda place: abs(LADDER[place] - width))
    return LADDER[min(len(LADDER) - 1, max(0, nearest + steps))]


def change_width(spec: Spec, rng: Random, sign: int = 0) -> Spec | None:
    """One layer, or (one in five) all of them, wider or narrower."""
    if rng.random() < 0.2:
        return _rescaled(spec, rng.choice(STEPS[sign]))
    found = _argument(spec, rng, WIDE_NAMES)
    if found is None or (spec.head.hidden and rng.random() < 0.2):
        return _hidden_width(spec, rng, sign)
    path, place, _ = found
    layer = at(spec.body, path)
    width = near_width(layer.arguments[place], rng.choice(STEPS[sign]))
    return _changed(spec, path, _with_argument(layer, place, width))


def _hidden_width(spec: Spec, rng: Random, sign: int) -> Spec | None:
    head = spec.head
    if not head.hidden:
        return None
    place = rng.randrange(len(head.hidden))
    others = _to_the_side(HIDDEN_WIDTHS, head.hidden[place].width, sign)
    if not others:
        return None
    layer = replace(head.hidden[place], width=rng.choice(others))
    hidden = (*head.hidden[:place], layer, *head.hidden[place + 1 :])
    return replace(spec, head=replace(head, hidden=hidden))


def _to_the_side(values: tuple[int, ...], known: int, sign: int) -> list[int]:
    """The values below, above, or other than the known one."""
    return [value for value in values if value != known and (value - known) * sign >= 0]


def _rescaled(spec: Spec, steps: int) -> Spec:
    def scaled(layer: Layer) -> Layer:
        layer = replace(layer, inner=tuple(map(scaled, layer.inner)))
        for place, name in enumerate(argument_names(layer.kind)):
            if name in WIDE_NAMES:
                layer = _with_argument(layer, place, near_width(layer.arguments[place], steps))
        return layer

    return replace(spec, body=tuple(map(scaled, spec.body)))


def change_kernel(spec: Spec, rng: Random, sign: int = 0) -> Spec | None:
    """Another kernel, dilation, window, or number of groups, heads or inner channels."""
    found = _argument(spec, rng, REACH_NAMES)
    if found is None:
        return None
    path, place, name = found
    layer = at(spec.body, path)
    values = (1, 3, 5, 7, 9) if layer.kind == "conv" else values_of(layer.kind, name)
    others = _to_the_side(values, layer.arguments[place], sign)
    if not others:
        return None
    if layer.kind == "conv":
        channels, kernel, stride, padding = layer.arguments
        new = rng.choice(others)
        padding = new // 2 if padding == kernel // 2 else min(padding, new // 2)
        return _changed(spec, path, Layer("conv", (channels, new, stride, padding)))
    return _changed(spec, path, _with_argument(layer, place, rng.choice(others)))


def change_stride(spec: Spec, rng: Random, sign: int = 0) -> Spec | None:
    """Another stride, a pooling layer put in, taken out, or of the other kind."""
    draw = rng.random()
    pool = _pick(rng, spec, lambda layer: layer.kind == "pool")
    if pool is not None and draw < 0.4:
        if draw < 0.15 and len(spec.body) > 1 and not is_branch(spec.body, pool):
            return replace(spec, body=spliced(spec.body, pool, 1, ()))
        name, window = at(spec.body, pool).arguments
        other = ("Avg" if name == "Max" else "Max", window)
        return _changed(spec, pool, Layer("pool", other))
    found = _argument(spec, rng, ("stride",))
    if found is not None and draw < 0.8:
        path, place, _ = found
        layer = at(spec.body, path)
        stride = 1 if layer.arguments[place] > 1 else 2
        return _changed(spec, path, _with_argument(layer, place, stride))
    place = rng.randint(1, max(1, len(spec.body)))
    pooling = random_leaf(rng, "pool", input_shape(spec))
    return replace(spec, body=spliced(spec.body, (place,), 0, (pooling,)))


def change_norm(spec: Spec, rng: Random, sign: int = 0) -> Spec | None:
    """A normalisation, activation or dropout put in, taken out or replaced by another."""
    draw = rng.random()
    known = _pick(rng, spec, lambda layer: layer.kind in NORMS)
    if known is not None and draw < 0.6:
        layer = at(spec.body, known)
        if draw < 0.2 and len(spec.body) > 1 and not is_branch(spec.body, known):
            return replace(spec, body=spliced(spec.body, known, 1, ()))
        return _changed(spec, known, _other_norm(layer, rng))
    block = _pick(rng, spec, lambda layer: "activation" in argument_names(layer.kind))
    if block is not None and draw < 0.8:
        return _changed(spec, block, _other_function(at(spec.body, block), rng))
    chains = [path for path, _ in runs(spec.body, 1)]
    if not chains:
        return None
    path = rng.choice(chains)
    behind = (*path[:-1], path[-1] + 1)
    return replace(spec, body=spliced(spec.body, behind, 0, (_new_norm(rng),)))


def _new_norm(rng: Random) -> Layer:
    kind = rng.choice(("norm", "norm", "activation", "activation", "dropout", "ChannelNorm"))
    return random_leaf(rng, kind, Shape(1, (1,)))


def _other_norm(layer: Layer, rng: Random) -> Layer:
    while True:
        new = _new_norm(rng)
        same_kind = (new.kind in ("norm", "ChannelNorm")) == (layer.kind in ("norm", "ChannelNorm"))
        if new != layer and (same_kind or rng.random() < 0.2):
            return new


def _other_function(layer: Layer, rng: Random) -> Layer:
    """The block with another activation; relu is not written."""
    numbers = tuple(value for value in layer.arguments if not isinstance(value, str))
    known = [value for value in layer.arguments if isinstance(value, str)]
    others = [name for name in ("", *ACTIVATION_FUNCTIONS) if [name] != (known or [""])]
    name = rng.choice(others)
    return replace(layer, arguments=(*numbers, name) if name else numbers)


def change_operator(spec: Spec, rng: Random, sign: int = 0) -> Spec | None:
    """A layer replaced by one of another kind of about the same width."""
    path = _pick(rng, spec, lambda layer: not layer.is_wrapper and layer.kind not in NORMS)
    if path is None:
        return None
    layer, shape = at(spec.body, path), shape_before(spec.body, path, input_shape(spec))
    while True:
        kind = random_kind(rng, OPERATOR_WEIGHTS)
        if kind != layer.kind:
            return _changed(spec, path, _alike(layer, random_leaf(rng, kind, shape)))


def _alike(old: Layer, new: Layer) -> Layer:
    """The new layer with the old one's arguments of the same names."""
    known = dict(zip(argument_names(old.kind), old.arguments, strict=False))
    for place, name in enumerate(argument_names(new.kind)):
        is_long = name == "kernel" and (new.kind in LONG_KINDS) != (old.kind in LONG_KINDS)
        if name in known and name not in ("activation", "padding") and not is_long:
            new = _with_argument(new, place, known[name])
    if new.kind == "conv":
        new = _with_argument(new, 3, new.arguments[1] // 2)
    return new


def change_depth(spec: Spec, rng: Random, sign: int = 0) -> Spec | None:
    """Layers put in, taken out, or written twice."""
    draw = {-1: 1.0, 0: rng.random(), 1: 0.55 * rng.random()}[sign]
    found = list(runs(spec.body, LONGEST_RUN))
    if draw < 0.4 or not found:
        path = rng.choice([path for path, _ in found] or [(0,)])
        path = rng.choice((path, (*path[:-1], path[-1] + 1)))
        shape = input_shape(spec)
        if spec.body and path[-1] > 0:
            before = (*path[:-1], path[-1] - 1)
            shape = shape_before(spec.body, before, shape)
        new = random_layer(rng, shape, _local_widths(spec))
        return replace(spec, body=spliced(spec.body, path, 0, (new,)))
    path, length = rng.choice(found)
    if draw < 0.55:
        run = _run(spec.body, path, length)
        behind = (*path[:-1], path[-1] + length)
        return replace(spec, body=spliced(spec.body, behind, 0, run))
    shorter = spliced(spec.body, path, length, ())
    return replace(spec, body=shorter) if shorter else None


def _run(layers: Layers, path: Path, length: int) -> Layers:
    return tuple(at(layers, (*path[:-1], path[-1] + step)) for step in range(length))


def _local_widths(spec: Spec) -> tuple[int, ...]:
    """Widths near those of the program, so that a new layer fits it."""
    known = [
        value
        for path in paths(spec.body)
        for name, value in zip(
            argument_names(at(spec.body, path).kind), at(spec.body, path).arguments, strict=False
        )
        if name in WIDE_NAMES
    ]
    return tuple(near_width(w, s) for w in known or [12] for s in (-2, -1, 0, 0, 0, 1, 2))


def change_wiring(spec: Spec, rng: Random, sign: int = 0) -> Spec | None:
    """A wrapper put around layers, taken off or exchanged; a branch more or less; an exchange of
    neighbours.
    """
    changes = {
        -1: (_unwrap, _unwrap, _exchange_wrapper),
        0: (_wrap, _wrap, _unwrap, _exchange_wrapper, _branch_out, _swap),
        1: (_branch_out, _branch_out, _branch_out, _exchange_wrapper, _wrap),
    }[sign]
    return rng.choice(changes)(spec, rng)


def _wrap(spec: Spec, rng: Random) -> Spec | None:
    found = list(runs(spec.body, LONGEST_RUN))
    if not found:
        return None
    path, length = rng.choice(found)
    kind = rng.choice(("Residual", "Residual", *CHAIN_WRAPPERS))
    wrapped = Layer(kind, (), _run(spec.body, path, length))
    return replace(spec, body=spliced(spec.body, path, length, (wrapped,)))


def _unwrap(spec: Spec, rng: Random) -> Spec | None:
    path = _pick(rng, spec, lambda layer: layer.kind in CHAIN_WRAPPERS)
    if path is not None and not is_branch(spec.body, path):
        return replace(spec, body=spliced(spec.body, path, 1, at(spec.body, path).inner))
    path = _pick(rng, spec, lambda layer: layer.kind in BRANCHED)
    if path is None or is_branch(spec.body, path):
        return None
    layer = at(spec.body, path)
    place = rng.randrange(len(layer.inner))
    branch = layer.inner[place]
    if len(layer.inner) > 2:
        less = layer.inner[:place] + layer.inner[place + 1 :]
        return _changed(spec, path, replace(layer, inner=less))
    kept = branch.inner if branch.kind == CHAIN else (branch,)
    return replace(spec, body=spliced(spec.body, path, 1, kept))


def _exchange_wrapper(spec: Spec, rng: Random) -> Spec | None:
    path = _pick(rng, spec, lambda layer: layer.kind in (*CHAIN_WRAPPERS, *BRANCHED))
    if path is None:
        return None
    layer = at(spec.body, path)
    group = BRANCHED if layer.kind in BRANCHED else CHAIN_WRAPPERS
    kind = rng.choice([kind for kind in group if kind != layer.kind])
    return _changed(spec, path, replace(layer, kind=kind))


def _branch_out(spec: Spec, rng: Random) -> Spec | None:
    """A layer becomes one of two branches, or a further branch is added."""
    path = _pick(rng, spec, lambda layer: layer.kind not in (*NORMS, CHAIN, "pool"))
    if path is None:
        return None
    layer, shape = at(spec.body, path), shape_before(spec.body, path, input_shape(spec))
    new = random_leaf(rng, random_kind(rng, OPERATOR_WEIGHTS), shape)
    new = _alike(layer, new)
    if layer.kind in BRANCHED:
        return _changed(spec, path, replace(layer, inner=(*layer.inner, new)))
    return _changed(spec, path, Layer(rng.choice(BRANCHED), (), (layer, new)))


def _swap(spec: Spec, rng: Random) -> Spec | None:
    found = [(path, n) for path, n in runs(spec.body, 2) if n == 2]
    if not found:
        return None
    path, _ = rng.choice(found)
    run = _run(spec.body, path, 2)
    return replace(spec, body=spliced(spec.body, path, 2, run[::-1]))


def change_head(spec: Spec, rng: Random, sign: int = 0) -> Spec:
    """Another pooling, other hidden layers or another dropout."""
    head, other = spec.head, random_head(rng)
    match rng.choice(("pool", "pool", "hidden", "hidden", "dropout")):
        case "pool":
            new: Head = replace(head, pool=other.pool, positions=other.positions)
        case "hidden":
            new = replace(head, hidden=other.hidden)
        case _:
            new = replace(head, dropout=other.dropout)
    return replace(spec, head=new)


CHANGES: dict[str, Change] = {
    "width": change_width,
    "depth": change_depth,
    "kernel": change_kernel,
    "stride": change_stride,
    "operator": change_operator,
    "wiring": change_wiring,
    "norm": change_norm,
    "head": change_head,
}
