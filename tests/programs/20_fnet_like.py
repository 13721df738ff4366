# in_shape (1, 40)
import torch
import torch.nn as nn


class FourierMixing(nn.Module):
    def forward(self, x):
        return torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real


class FNetLayer(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.mix = FourierMixing()
        self.n1 = nn.LayerNorm(d)
        self.n2 = nn.LayerNorm(d)
        self.ff = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))

    def forward(self, x):
        x = self.n1(x + self.mix(x))
        return self.n2(x + self.ff(x))


class FNet(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.embed = nn.Linear(in_shape[0] * 5, 16)
        self.layers = nn.ModuleList([FNetLayer(16) for _ in range(2)])
        self.out = nn.Linear(16, num_classes)

    def forward(self, x):
        x = self.embed(x.reshape(-1, 8, 5))
        for layer in self.layers:
            x = layer(x)
        return self.out(x.mean(1))
