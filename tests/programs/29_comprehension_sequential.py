# in_shape (1, 40)
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        w = [in_shape[0], 8, 16, 24, 32]
        self.f = nn.Sequential(*[m for a, b in zip(w, w[1:]) for m in (nn.Conv1d(a, b, 3, 2, 1), nn.BatchNorm1d(b), nn.GELU())])
        self.g = nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))

    def forward(self, x):
        return self.g(self.f(x))
