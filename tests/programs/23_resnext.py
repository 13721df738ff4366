# in_shape (1, 8, 8)
import torch.nn as nn


class Bottleneck(nn.Module):
    def __init__(self, c, cardinality=4, width=16):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(c, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, groups=cardinality, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, c, 1, bias=False), nn.BatchNorm2d(c),
        )
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(self.body(x) + x)


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(in_shape[0], 24, 3, padding=1),
            Bottleneck(24),
            nn.MaxPool2d(2),
            Bottleneck(24),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(24, num_classes),
        )

    def forward(self, x):
        return self.model(x)
