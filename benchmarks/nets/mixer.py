"""An MLP-Mixer (Tolstikhin et al. 2021): eight blocks of width 128, patches of 4x4."""

import torch.nn as nn


class Block(nn.Module):
    def __init__(self, tokens, width, token_width, channel_width):
        super().__init__()
        self.token_norm = nn.LayerNorm(width)
        self.mix_tokens = nn.Sequential(
            nn.Linear(tokens, token_width), nn.GELU(), nn.Linear(token_width, tokens)
        )
        self.channel_norm = nn.LayerNorm(width)
        self.mix_channels = nn.Sequential(
            nn.Linear(width, channel_width), nn.GELU(), nn.Linear(channel_width, width)
        )

    def forward(self, x):
        x = x + self.mix_tokens(self.token_norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.mix_channels(self.channel_norm(x))


class Net(nn.Module):
    def __init__(self, in_shape, num_classes, width=128, depth=8, patch=4):
        super().__init__()
        tokens = (in_shape[1] // patch) * (in_shape[2] // patch)
        self.embed = nn.Conv2d(in_shape[0], width, patch, patch)
        self.blocks = nn.Sequential(*[Block(tokens, width, 64, 256) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(1))
