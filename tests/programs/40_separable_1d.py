# in_shape (1, 40)
import torch.nn as nn
from functools import partial

Conv = partial(nn.Conv1d, bias=False)


def separable(i, o, k, s=1):
    return nn.Sequential(Conv(i, i, k, stride=s, padding=k // 2, groups=i), Conv(i, o, 1), nn.BatchNorm1d(o), nn.ReLU())


class Xception1d(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.entry = nn.Sequential(Conv(in_shape[0], 16, 3, padding=1), nn.BatchNorm1d(16), nn.ReLU())
        self.middle = nn.Sequential(separable(16, 32, 5, 2), separable(32, 32, 5), separable(32, 48, 3, 2))
        self.exit = nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(48, num_classes))

    def forward(self, x):
        return self.exit(self.middle(self.entry(x)))
