"""Classes that build a layer for the first input that they see, for programs of another style.

PyTorch has no lazy form of these layers. The grammar does not write them itself; `rewrite` does.
"""

SIZED = {
    "Channels": """
class Channels(nn.Module):
    def __init__(self, build):
        super().__init__()
        self.build = build
    def forward(self, x):
        if not hasattr(self, "layer"):
            layer = self.build(x.shape[1]).to(x.device)
            self.layer = layer.train(self.training)
        return self.layer(x)
""",
    "Features": """
class Features(nn.Module):
    def __init__(self, build):
        super().__init__()
        self.build = build
    def forward(self, x, *more):
        if not hasattr(self, "layer"):
            layer = self.build(x.shape[-1]).to(x.device)
            self.layer = layer.train(self.training)
        return self.layer(x, *more)
""",
    "Sizes": """
class Sizes(nn.Module):
    def __init__(self, build):
        super().__init__()
        self.build = build
    def forward(self, x):
        if not hasattr(self, "layer"):
            layer = self.build(*x.flatten(2).shape[1:]).to(x.device)
            self.layer = layer.train(self.training)
        return self.layer(x)
""",
    "SelfAttention": """
class SelfAttention(nn.Module):
    def __init__(self, heads, need_weights=True):
        super().__init__()
        self.heads = heads
        self.need_weights = need_weights
    def forward(self, x):
        if not hasattr(self, "layer"):
            heads = math.gcd(self.heads, x.shape[-1])
            layer = nn.MultiheadAttention(x.shape[-1], heads, batch_first=True)
            self.layer = layer.to(x.device).train(self.training)
        return self.layer(x, x, x, need_weights=self.need_weights)[0]
""",
}
"""Layers that PyTorch has no lazy form of, built for the first input: for the size of its second
axis, of its last, or of the second and all behind it.
"""
