"""A convolution, then a GRU of two layers and two directions, 64 units each."""

import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self, in_shape, num_classes, units=64):
        super().__init__()
        self.stem = nn.Conv1d(in_shape[0], 32, 3, padding=1)
        self.rnn = nn.GRU(32, units, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * units, num_classes)

    def forward(self, x):
        x = F.relu(self.stem(x)).transpose(1, 2)
        y, _ = self.rnn(x)
        return self.head(y[:, -1])
