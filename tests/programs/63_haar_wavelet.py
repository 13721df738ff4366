# in_shape (1, 40)
import torch
import torch.nn as nn


def haar(x):
    even, odd = x[..., 0::2], x[..., 1::2]
    return (even + odd) / 2, (even - odd) / 2


class WaveletNet(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.low = nn.Conv1d(in_shape[0], 16, 3, padding=1)
        self.high = nn.Conv1d(in_shape[0], 16, 3, padding=1)
        self.mix = nn.Conv1d(32, 24, 3, stride=2, padding=1)
        self.fc = nn.Linear(24, num_classes)

    def forward(self, x):
        approx, detail = haar(x)
        h = torch.cat((self.low(approx).relu(), self.high(detail).relu()), dim=1)
        h = self.mix(h).relu()
        return self.fc(h.mean(dim=-1))
