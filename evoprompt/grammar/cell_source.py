"""Writes a network of cells as a program under the contract, one plain line for every layer.

In: a `CellNet`. Out: source text: a function for convolution with norm and activation, a class for
the cell, perhaps one for the step between stages, and `Net`.
"""

from evoprompt.grammar.cells import GROUPS, CellNet, entering, inner_width, is_halved

LAYERS = {
    "conv1": "unit({c}, {c}, 1)",
    "conv3": "unit({c}, {c}, 3)",
    "conv5": "unit({c}, {c}, 5)",
    "depthwise3": "unit({c}, {c}, 3, groups={c})",
    "depthwise5": "unit({c}, {c}, 5, groups={c})",
    "separable3": "nn.Sequential(unit({c}, {c}, 3, groups={c}), unit({c}, {c}, 1))",
    "separable5": "nn.Sequential(unit({c}, {c}, 5, groups={c}), unit({c}, {c}, 1))",
    "dilated3": "unit({c}, {c}, 3, dilation=2)",
    "dilated_separable3": (
        "nn.Sequential(unit({c}, {c}, 3, dilation=2, groups={c}), unit({c}, {c}, 1))"
    ),
    "grouped3": "unit({c}, {c}, 3, groups={g})",
    "avg3": "nn.AvgPool{d}d(3, 1, 1, count_include_pad=False)",
    "max3": "nn.MaxPool{d}d(3, 1, 1)",
    "skip": "nn.Identity()",
}
ORDERED = {
    "act-conv-norm": ("activation", "conv", "norm"),
    "conv-norm-act": ("conv", "norm", "activation"),
    "norm-act-conv": ("norm", "activation", "conv"),
}
NORMS = {
    "batch": "nn.BatchNorm{d}d({c})",
    "group": "nn.GroupNorm(4, {c})",
    "none": "",
}


def render_cell_net(net: CellNet) -> str:
    """The network as a program under the contract."""
    parts = ["import torch\nimport torch.nn as nn", _unit(net)]
    if net.step == "residual" and len(net.widths) > 1:
        parts.append(_step(net))
    return "\n\n\n".join([*parts, _cell(net), _net(net)]) + "\n"


def _unit(net: CellNet) -> str:
    norm = NORMS[net.norm].format(d=net.dimensions, c="{c}")
    bias = "" if net.norm == "batch" and net.order != "norm-act-conv" else ", bias=True"
    bias = bias or ", bias=False"
    lines = {
        "activation": f"nn.{net.activation}(),",
        "conv": (
            f"nn.Conv{net.dimensions}d(inputs, outputs, kernel, stride, dilation * (kernel // 2),"
            f" dilation, groups{bias}),"
        ),
        "norm": f"{norm.format(c='inputs' if net.order == 'norm-act-conv' else 'outputs')},",
    }
    body = [f"        {lines[part]}" for part in ORDERED[net.order] if part != "norm" or norm]
    return "\n".join(
        [
            "def unit(inputs, outputs, kernel, stride=1, dilation=1, groups=1):",
            "    return nn.Sequential(",
            *body,
            "    )",
        ]
    )


def _step(net: CellNet) -> str:
    dims = net.dimensions
    return f"""class Step(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = unit(inputs, outputs, 3, stride)
        self.second = unit(outputs, outputs, 3)
        self.pool = nn.AvgPool{dims}d(2) if stride == 2 else nn.Identity()
        self.down = nn.Conv{dims}d(inputs, outputs, 1, bias=False)

    def forward(self, x):
        return self.down(self.pool(x)) + self.second(self.first(x))"""


def _cell(net: CellNet) -> str:
    """Modules and nodes one by one; a concatenation is followed by a convolution 1x1."""
    has_borders = net.inner != 1
    build, run = [], []
    if has_borders:
        build.append("self.before = unit(channels, inner, 1)")
        run.append("n0 = self.before(x)")
    width, start = ("inner", "n0") if has_borders else ("channels", "x")
    for node in net.nodes:
        terms = []
        for edge in entering(net, node):
            name = f"self.edge{edge.source}{edge.target}"
            operator = LAYERS[edge.operator].format(c=width, d=net.dimensions, g=GROUPS)
            build.append(f"{name} = {operator}")
            terms.append(f"{name}({f'n{edge.source}' if edge.source else start})")
        if net.join == "concat" and len(terms) > 1:
            build.append(f"self.mix{node} = unit({len(terms)} * {width}, {width}, 1)")
            run.append(f"n{node} = self.mix{node}(torch.cat([{', '.join(terms)}], 1))")
        else:
            run.append(f"n{node} = {' + '.join(terms)}")
    result = f"n{net.nodes[-1]}"
    if has_borders:
        build.append("self.after = unit(inner, channels, 1)")
        result = f"self.after({result})"
    run.append(f"return x + {result}" if net.residual else f"return {result}")
    arguments = "channels, inner" if has_borders else "channels"
    opening = f"class Cell(nn.Module):\n    def __init__(self, {arguments}):\n        "
    middle = "\n\n    def forward(self, x):\n        "
    lines = "\n        ".join(["super().__init__()", *build])
    return opening + lines + middle + "\n        ".join(run)


def _net(net: CellNet) -> str:
    dims, (kernel, stride) = net.dimensions, net.stem
    norm = NORMS[net.norm].format(d=dims, c="{c}")
    first, last = net.widths[0], net.widths[-1]
    body = [f"nn.Conv{dims}d(in_shape[0], {first}, {kernel}, {stride}, {kernel // 2}, bias=False)"]
    body += [norm.format(c=first)] if norm else []
    body += [f"nn.{net.activation}()"] if net.order == "conv-norm-act" else []
    for stage, (width, count) in enumerate(zip(net.widths, net.counts, strict=True)):
        body += _between(net, stage) if stage else []
        arguments = f"{width}, {inner_width(net, width)}" if net.inner != 1 else f"{width}"
        body += [f"Cell({arguments})"] * count
    if net.order != "conv-norm-act":
        body += [norm.format(c=last)] if norm else []
        body.append(f"nn.{net.activation}()")
    body.append(f"nn.Adaptive{net.head}Pool{dims}d(1)")
    lines = "\n".join(f"            {line}," for line in body)
    return f"""class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.body = nn.Sequential(
{lines}
        )
        self.head = nn.Linear({last}, num_classes)

    def forward(self, x):
        return self.head(self.body(x).flatten(1))"""


def _between(net: CellNet, stage: int) -> list[str]:
    """The step from one stage to the next."""
    before, width = net.widths[stage - 1 : stage + 1]
    stride = 2 if is_halved(net, stage) else 1
    if net.step == "residual":
        return [f"Step({before}, {width}, {stride})"]
    if net.step == "conv":
        return [f"unit({before}, {width}, 3, {stride})"]
    pool = [f"nn.{net.head}Pool{net.dimensions}d(2)"] if stride == 2 else []
    return [*pool, f"unit({before}, {width}, 1)"]
