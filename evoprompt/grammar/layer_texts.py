"""The texts of the library's functions, wrappers and layers, with places for the dimensions.

Fixed texts: a program that holds one of them word for word uses a known class. Every layer takes
and gives (B, C, L) or (B, C, H, W) and is legal on any shape; wrappers bring shapes that differ
together themselves. A change here makes the built-in proposer's corpus another one.
"""

FUNCTIONS = {
    "resize": """
def resize(x, like):
    if x.shape[2:] == like.shape[2:]:
        return x
    return F.interpolate(x, size=like.shape[2:])
""",
    "match": """
def match(x, like):
    x = resize(x, like)
    missing = like.shape[1] - x.shape[1]
    return F.pad(x, (0, 0) * (x.dim() - 2) + (0, missing)) if missing else x
""",
}

WRAPPERS = {
    "Residual": """
class Residual(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)
    def forward(self, x):
        y = self.layers(x)
        return match(x, y) + y
""",
    "Dense": """
class Dense(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)
    def forward(self, x):
        y = self.layers(x)
        return torch.cat([resize(x, y), y], 1)
""",
    "Gate": """
class Gate(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)
    def forward(self, x):
        return x * torch.sigmoid(match(self.layers(x), x))
""",
    "UShape": """
class UShape(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)
    def forward(self, x):
        y = self.layers(F.max_pool<d>d(x, 3, 2, 1))
        return x + match(y, x)
""",
    "Concat": """
class Concat(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)
    def forward(self, x):
        outputs = [branch(x) for branch in self.branches]
        return torch.cat([resize(y, outputs[0]) for y in outputs], 1)
""",
    "Sum": """
class Sum(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)
    def forward(self, x):
        first, *others = [branch(x) for branch in self.branches]
        for y in others:
            first = first + match(y, first)
        return first
""",
}

CONVOLUTIONS = {
    "ConvBlock": """
class ConvBlock(nn.Module):
    def __init__(self, channels, kernel, stride, activation=F.relu):
        super().__init__()
        self.conv = nn.LazyConv<d>d(channels, kernel, stride, kernel // 2)
        self.norm = nn.BatchNorm<d>d(channels)
        self.activation = activation
    def forward(self, x):
        return self.activation(self.norm(self.conv(x)))
""",
    "ResBlock": """
class ResBlock(nn.Module):
    def __init__(self, channels, kernel, stride, activation=F.relu):
        super().__init__()
        self.first = nn.LazyConv<d>d(channels, kernel, stride, kernel // 2)
        self.norm = nn.BatchNorm<d>d(channels)
        self.activation = activation
        self.second = nn.Conv<d>d(channels, channels, kernel, 1, kernel // 2)
        self.skip = nn.LazyConv<d>d(channels, 1, stride)
    def forward(self, x):
        y = self.activation(self.norm(self.first(x)))
        return self.second(y) + self.skip(x)
""",
    "SeparableBlock": """
class SeparableBlock(nn.Module):
    def __init__(self, channels, kernel, stride, activation=F.relu):
        super().__init__()
        self.pointwise = nn.LazyConv<d>d(channels, 1)
        self.depthwise = nn.Conv<d>d(channels, channels, kernel, stride, kernel // 2, groups=channels)
        self.norm = nn.BatchNorm<d>d(channels)
        self.activation = activation
    def forward(self, x):
        return self.activation(self.norm(self.depthwise(self.pointwise(x))))
""",  # noqa: E501
    "InvertedBlock": """
class InvertedBlock(nn.Module):
    def __init__(self, channels, expansion, kernel, stride, activation=F.relu):
        super().__init__()
        inner = channels * expansion
        self.expand = nn.LazyConv<d>d(inner, 1)
        self.depthwise = nn.Conv<d>d(inner, inner, kernel, stride, kernel // 2, groups=inner)
        self.norm = nn.BatchNorm<d>d(inner)
        self.activation = activation
        self.project = nn.Conv<d>d(inner, channels, 1)
    def forward(self, x):
        y = self.activation(self.expand(x))
        return self.project(self.activation(self.norm(self.depthwise(y))))
""",
    "GroupedBlock": """
class GroupedBlock(nn.Module):
    def __init__(self, groups, width, kernel, stride, activation=F.relu):
        super().__init__()
        channels = groups * width
        self.pointwise = nn.LazyConv<d>d(channels, 1)
        self.grouped = nn.Conv<d>d(channels, channels, kernel, stride, kernel // 2, groups=groups)
        self.norm = nn.BatchNorm<d>d(channels)
        self.activation = activation
    def forward(self, x):
        return self.activation(self.norm(self.grouped(self.pointwise(x))))
""",
    "DilatedBlock": """
class DilatedBlock(nn.Module):
    def __init__(self, channels, kernel, dilation, activation=F.relu):
        super().__init__()
        self.conv = nn.LazyConv<d>d(channels, kernel, 1, kernel // 2 * dilation, dilation)
        self.norm = nn.BatchNorm<d>d(channels)
        self.activation = activation
    def forward(self, x):
        return self.activation(self.norm(self.conv(x)))
""",
    "MultiScaleBlock": """
class MultiScaleBlock(nn.Module):
    def __init__(self, channels, wide, stride, activation=F.relu):
        super().__init__()
        self.narrow = nn.LazyConv<d>d(channels, 3, stride, 1)
        self.wide = nn.LazyConv<d>d(channels, wide, stride, wide // 2)
        self.norm = nn.BatchNorm<d>d(2 * channels)
        self.activation = activation
    def forward(self, x):
        y = torch.cat([self.narrow(x), self.wide(x)], 1)
        return self.activation(self.norm(y))
""",
    "LargeKernelBlock": """
class LargeKernelBlock(nn.Module):
    def __init__(self, channels, kernel):
        super().__init__()
        self.project = nn.LazyConv<d>d(channels, 1)
        self.depthwise = nn.Conv<d>d(channels, channels, kernel, 1, kernel // 2, groups=channels)
        self.norm = nn.GroupNorm(1, channels)
        self.expand = nn.Conv<d>d(channels, 2 * channels, 1)
        self.reduce = nn.Conv<d>d(2 * channels, channels, 1)
    def forward(self, x):
        y = self.project(x)
        z = self.norm(self.depthwise(y))
        return y + self.reduce(F.gelu(self.expand(z)))
""",
}

GATES = {
    "SqueezeExciteBlock": """
class SqueezeExciteBlock(nn.Module):
    def __init__(self, channels, kernel, stride, activation=F.relu):
        super().__init__()
        self.conv = nn.LazyConv<d>d(channels, kernel, stride, kernel // 2)
        self.activation = activation
        self.squeeze = nn.Linear(channels, channels // 4 + 1)
        self.excite = nn.Linear(channels // 4 + 1, channels)
    def forward(self, x):
        y = self.activation(self.conv(x))
        scale = self.excite(F.relu(self.squeeze(y.mean(<spatial>))))
        return y * torch.sigmoid(scale)<expand>
""",
    "ChannelGate": """
class ChannelGate(nn.Module):
    def __init__(self, kernel):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel, 1, kernel // 2)
    def forward(self, x):
        y = self.conv(x.mean(<spatial>).unsqueeze(1))
        return x * torch.sigmoid(y.transpose(1, 2))<expand_transposed>
""",
    "SpatialGate": """
class SpatialGate(nn.Module):
    def __init__(self, kernel):
        super().__init__()
        self.conv = nn.Conv<d>d(2, 1, kernel, 1, kernel // 2)
    def forward(self, x):
        y = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.conv(y))
""",
    "GatedBlock": """
class GatedBlock(nn.Module):
    def __init__(self, channels, kernel, stride):
        super().__init__()
        self.conv = nn.LazyConv<d>d(2 * channels, kernel, stride, kernel // 2)
        self.norm = nn.BatchNorm<d>d(channels)
    def forward(self, x):
        signal, gate = self.conv(x).chunk(2, 1)
        return self.norm(signal * torch.sigmoid(gate))
""",
    "LongConvBlock": """
class LongConvBlock(nn.Module):
    def __init__(self, channels, kernel):
        super().__init__()
        self.project = nn.LazyConv<d>d(2 * channels, 1)
        self.long = nn.Conv<d>d(channels, channels, kernel, 1, kernel // 2, groups=channels)
        self.mix = nn.Conv<d>d(channels, channels, 1)
    def forward(self, x):
        signal, gate = self.project(x).chunk(2, 1)
        return self.mix(self.long(signal) * F.silu(gate))
""",
}

SEQUENCES = {
    "AttentionBlock": """
class AttentionBlock(nn.Module):
    def __init__(self, heads, width):
        super().__init__()
        self.project = nn.LazyConv<d>d(heads * width, 1)
        self.norm = nn.LayerNorm(heads * width)
        self.attention = nn.MultiheadAttention(heads * width, heads, batch_first=True)
    def forward(self, x):
        y = self.project(x)<to_sequence>
        z = self.norm(y)
        y = y + self.attention(z, z, z)[0]
        return y<from_sequence>
""",
    "WindowBlock": """
class WindowBlock(nn.Module):
    def __init__(self, heads, width, window):
        super().__init__()
        self.window = window
        self.project = nn.LazyConv<d>d(heads * width, 1)
        self.norm = nn.LayerNorm(heads * width)
        self.attention = nn.MultiheadAttention(heads * width, heads, batch_first=True)
    def forward(self, x):
        y = self.project(x)<to_sequence>
        count, channels = y.shape[1:]
        y = F.pad(y, (0, 0, 0, -count % self.window))
        z = y.reshape(-1, self.window, channels)
        n = self.norm(z)
        z = z + self.attention(n, n, n)[0]
        y = z.reshape(x.shape[0], -1, channels)[:, :count]
        return y<from_sequence>
""",
    "LinearAttentionBlock": """
class LinearAttentionBlock(nn.Module):
    def __init__(self, heads, width):
        super().__init__()
        self.heads = heads
        self.project = nn.LazyConv<d>d(heads * width, 1)
        self.inside = nn.Linear(heads * width, 3 * heads * width)
        self.outside = nn.Linear(heads * width, heads * width)
    def forward(self, x):
        y = self.project(x)<to_sequence>
        parts = self.inside(y).reshape(x.shape[0], y.shape[1], self.heads, -1).transpose(1, 2)
        query, key, value = parts.chunk(3, 3)
        context = torch.softmax(key, 2).transpose(2, 3) @ value
        z = (torch.softmax(query, 3) @ context).transpose(1, 2).reshape(y.shape)
        y = y + self.outside(z)
        return y<from_sequence>
""",
    "RecurrentBlock": """
class RecurrentBlock(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.project = nn.LazyConv<d>d(hidden, 1)
        self.cell = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
    def forward(self, x):
        y = self.project(x)<to_sequence>
        return self.cell(y)[0]<from_sequence>
""",
    "MemoryBlock": """
class MemoryBlock(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.project = nn.LazyConv<d>d(hidden, 1)
        self.cell = nn.LSTM(hidden, hidden, batch_first=True, bidirectional=True)
    def forward(self, x):
        y = self.project(x)<to_sequence>
        return self.cell(y)[0]<from_sequence>
""",
    "SequenceBlock": """
class SequenceBlock(nn.Module):
    def __init__(self, inputs, hidden):
        super().__init__()
        self.cell = nn.GRU(inputs, hidden, batch_first=True, bidirectional=True)
    def forward(self, x):
        y = x<to_sequence>
        return self.cell(y)[0]<from_sequence>
""",
    "TokenMixing": """
class TokenMixing(nn.Module):
    def __init__(self, positions, hidden):
        super().__init__()
        self.inside = nn.LazyLinear(hidden)
        self.outside = nn.Linear(hidden, positions)
    def forward(self, x):
        y = self.outside(F.gelu(self.inside(x<flat>)))
        return x + resize(y, x<flat>)<unflat>
""",
    "FourierMixing": """
class FourierMixing(nn.Module):
    def forward(self, x):
        y = x<flat>
        steps = torch.arange(y.shape[2])
        waves = torch.cos(2 * math.pi / y.shape[2] * steps[:, None] * steps)
        y = y @ waves / math.sqrt(y.shape[2])
        return y<unflat>
""",
    "PositionEncoding": """
class PositionEncoding(nn.Module):
    def forward(self, x):
        y = x<flat>
        steps = torch.arange(y.shape[2])
        rates = torch.arange(1, y.shape[1] + 1)
        waves = torch.sin(2 * steps / (rates[:, None] + 1))
        return x + waves<unflat_waves>
""",
    "ChannelNorm": """
class ChannelNorm(nn.Module):
    def forward(self, x):
        y = x.movedim(1, -1)
        return F.layer_norm(y, y.shape[-1:]).movedim(-1, 1)
""",
}
