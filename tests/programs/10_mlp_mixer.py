# in_shape (1, 8, 8)
import torch
import torch.nn as nn


def feed_forward(dim, hidden):
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))


class MixerLayer(nn.Module):
    def __init__(self, tokens, dim):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.token_mix = feed_forward(tokens, 2 * tokens)
        self.channel_mix = feed_forward(dim, 2 * dim)

    def forward(self, x):
        y = self.n1(x).transpose(1, 2)
        x = x + self.token_mix(y).transpose(1, 2)
        return x + self.channel_mix(self.n2(x))


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.stem = nn.Conv2d(in_shape[0], 24, 2, 2)
        self.mixer = nn.Sequential(*[MixerLayer(16, 24) for _ in range(2)])
        self.norm = nn.LayerNorm(24)
        self.head = nn.Linear(24, num_classes)

    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = self.norm(self.mixer(x))
        return self.head(x.mean(1))
