"""Places in the tree of a program's layers: finding them and putting something else there.

In: the layers of a body and paths. A path is the index in the body, then in each wrapper; the run
`path, length` are that many neighbours from the path on. Out: layers, or a new body.
"""

from collections.abc import Iterator
from dataclasses import replace

from evoprompt.grammar.layer_sizes import Shape
from evoprompt.grammar.shapes import layer_size
from evoprompt.grammar.spec import BRANCHED, Layer

Path = tuple[int, ...]
Layers = tuple[Layer, ...]


def paths(layers: Layers) -> list[Path]:
    """The path of every layer, in the order of the lines."""
    out: list[Path] = []
    for place, layer in enumerate(layers):
        out.append((place,))
        out += [(place, *rest) for rest in paths(layer.inner)]
    return out


def at(layers: Layers, path: Path) -> Layer:
    """The layer at a path."""
    layer = layers[path[0]]
    return at(layer.inner, path[1:]) if len(path) > 1 else layer


def spliced(layers: Layers, path: Path, length: int, new: Layers) -> Layers:
    """The layers with the run at the path replaced; length 0 inserts in front of the path."""
    place = path[0]
    if len(path) == 1:
        return layers[:place] + new + layers[place + length :]
    inner = spliced(layers[place].inner, path[1:], length, new)
    return (*layers[:place], replace(layers[place], inner=inner), *layers[place + 1 :])


def siblings(layers: Layers, path: Path) -> Layers:
    """The layers of the list in which the path's last index counts."""
    return layers if len(path) == 1 else siblings(layers[path[0]].inner, path[1:])


def is_branch(layers: Layers, path: Path) -> bool:
    """Whether the layer is one of the branches of a `Concat` or `Sum`."""
    return len(path) > 1 and at(layers, path[:-1]).kind in BRANCHED


def shape_before(layers: Layers, path: Path, shape: Shape) -> Shape:
    """The shape in front of the layer at a path; `shape` stands in front of the first layer."""
    for layer in layers[: path[0]]:
        shape = layer_size(layer, shape).shape
    return shape if len(path) == 1 else _inside(layers[path[0]], path[1:], shape)


def _inside(wrapper: Layer, path: Path, shape: Shape) -> Shape:
    if wrapper.kind == "UShape":
        shape = Shape(shape.channels, tuple(-(-side // 2) for side in shape.sides))
    if wrapper.kind in BRANCHED:
        branch = wrapper.inner[path[0]]
        return shape if len(path) == 1 else _inside(branch, path[1:], shape)
    return shape_before(wrapper.inner, path, shape)


def runs(layers: Layers, longest: int) -> Iterator[tuple[Path, int]]:
    """Every run of neighbours that stand in a chain, up to so many layers."""
    for path in paths(layers):
        if is_branch(layers, path):
            continue
        count = len(siblings(layers, path))
        for length in range(1, min(longest, count - path[-1]) + 1):
            yield path, length
