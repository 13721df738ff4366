# in_shape (1, 8, 8)
import torch
import torch.nn as nn


class GhostModule(nn.Module):
    def __init__(self, inp, oup, ratio=2, relu=True):
        super().__init__()
        init_channels = oup // ratio
        self.primary = nn.Sequential(nn.Conv2d(inp, init_channels, 1, bias=False), nn.BatchNorm2d(init_channels),
                                     nn.ReLU(inplace=True) if relu else nn.Sequential())
        self.cheap = nn.Sequential(nn.Conv2d(init_channels, init_channels, 3, 1, 1, groups=init_channels, bias=False),
                                   nn.BatchNorm2d(init_channels), nn.ReLU(inplace=True) if relu else nn.Sequential())

    def forward(self, x):
        x1 = self.primary(x)
        x2 = self.cheap(x1)
        return torch.cat([x1, x2], dim=1)


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.stem = nn.Conv2d(in_shape[0], 16, 3, padding=1)
        self.g1 = GhostModule(16, 32)
        self.g2 = GhostModule(32, 16, relu=False)
        self.down = nn.Conv2d(16, 24, 3, stride=2, padding=1)
        self.fc = nn.Linear(24, num_classes)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.g2(self.g1(x))
        x = nn.functional.relu(self.down(x))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))
