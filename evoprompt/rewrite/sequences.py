"""Recurrences and Fourier transforms: what PyTorch gives them is not what ONNX does.

In: the nodes. Out: the layer of a recurrence; calls that bring PyTorch's outputs into the shape
that the graph has; complex numbers for the graph's pairs of real and imaginary part.
"""

from evoprompt.rewrite import views
from evoprompt.rewrite.calls import is_natural, sized
from evoprompt.rewrite.expressions import ATOM, Expression
from evoprompt.rewrite.reading import NoRuleError, data
from surrogate.ir import Constant, Dim, Node, Operand, Weight


def gated_layer(node: Node) -> str:
    """The call that builds a recurrence."""
    _, hidden = node.attributes["c"]  # type: ignore[misc]
    weights = sum(isinstance(operand, Weight) for operand in node.inputs)
    unknown = node.attributes.keys() - {"c", "bi", "activations"}
    if unknown or not is_natural(node) or weights not in (2, 3):
        raise NoRuleError(f"a {node.op} with other settings")
    named = ["bidirectional=True"] if node.attributes.get("bi") else []
    kinds: tuple[str, ...] = node.attributes.get("activations", ())  # type: ignore[assignment]
    if set(kinds) == {"Relu"}:
        named.append('nonlinearity="relu"')
    elif set(kinds) - {"Tanh"}:
        raise NoRuleError(f"a {node.op} with other activations")
    if weights == 2:
        named.append("bias=False")
    text = f"nn.{node.op}({', '.join(['c', str(hidden), *named])})"
    return sized("Features", text)


def states(node: Node) -> list[Operand]:
    """The first states of a recurrence, if they are given."""
    rest = [operand for operand in node.inputs[3:] if not isinstance(operand, Weight)]
    return [operand for operand in rest if operand is not None]


def output_call(node: Node) -> str:
    """What brings a recurrence's output, as PyTorch gives it, into the shape of this view of it."""
    source = data(node)[0].node
    is_turned = source.op == "Transpose"
    cell = data(source)[0].node if is_turned else source
    if is_turned and source.attributes["order"] != (0, 2, 1, 3):
        raise NoRuleError("the directions of a recurrence in another order")
    steps, ways, batch, hidden = cell.shapes[0]
    if ways.offset > 1 and not is_turned:
        raise NoRuleError("the directions of a recurrence one by one")
    given = (steps, batch, Dim(0, ways.offset * hidden.offset))
    return "" if given == node.shape else views.calls(given, node.shape)


def complex_call(node: Node, operand: Expression) -> Expression:
    """A node on pairs as one on complex numbers; the pair of a real tensor is that tensor."""
    if node.op == "Select":
        part = {(0,): "real", (1,): "imag"}[node.attributes["i"]]  # type: ignore[index]
        return Expression(f"{operand.at_least(ATOM)}.{part}")
    if node.op != "DFT":
        return operand
    axis = node.inputs[2] if len(node.inputs) > 2 else None
    place = axis.scalar if isinstance(axis, Constant) else None
    if place is None or node.attributes.keys() - {"inverse"}:
        raise NoRuleError("a Fourier transform of another kind")
    name = "ifft" if node.attributes.get("inverse") else "fft"
    return Expression(f"torch.fft.{name}({operand.text}, dim={int(place)})")


def is_part(node: Node) -> bool:
    """Whether a node takes the real or the imaginary part."""
    if node.op != "Select":
        return False
    source = data(node)[0].node
    return source.op == "DFT" and node.attributes["a"] == len(source.shape) - 1
