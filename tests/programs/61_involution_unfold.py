# in_shape (1, 8, 8)
import torch
import torch.nn as nn
import torch.nn.functional as F


class LocalAttention(nn.Module):
    """A 3x3 kernel for each position, made from the position itself."""

    def __init__(self, c, k=3):
        super().__init__()
        self.c, self.k = c, k
        self.kernel = nn.Conv2d(c, k * k, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        weight = self.kernel(x).softmax(dim=1).view(b, 1, self.k ** 2, h * w)
        patches = F.unfold(x, self.k, padding=self.k // 2).view(b, c, self.k ** 2, h * w)
        return (weight * patches).sum(2).view(b, c, h, w)


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.stem = nn.Conv2d(in_shape[0], 12, 3, padding=1)
        self.inv = LocalAttention(12)
        self.out = nn.Linear(12, num_classes)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = torch.relu(self.inv(x)) + x
        return self.out(x.mean(dim=(2, 3)))
