# in_shape (1, 8, 8)
import torch
import torch.nn as nn


def squash(s, dim=-1):
    n2 = (s ** 2).sum(dim=dim, keepdim=True)
    return (n2 / (1 + n2)) * s / torch.sqrt(n2 + 1e-8)


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(in_shape[0], 32, 3, stride=2, padding=1)
        self.caps = nn.Conv2d(32, 32, 3, stride=2, padding=1)
        self.w = nn.Linear(128, num_classes * 4)
        self.k = num_classes

    def forward(self, x):
        x = torch.relu(self.conv(x))
        u = squash(self.caps(x).reshape(x.shape[0], 16, 8))
        v = squash(self.w(u.flatten(1)).reshape(-1, self.k, 4))
        return v.norm(dim=-1)
