"""Three convolutions for a signal: the size of net that a search on MNIST-1D mostly proposes."""

import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.first = nn.Conv1d(in_shape[0], 25, 5, padding=2)
        self.first_norm = nn.BatchNorm1d(25)
        self.second = nn.Conv1d(25, 50, 5, stride=2, padding=2)
        self.second_norm = nn.BatchNorm1d(50)
        self.third = nn.Conv1d(50, 50, 3, padding=1)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(50, num_classes)

    def forward(self, x):
        x = F.relu(self.first_norm(self.first(x)))
        x = F.relu(self.second_norm(self.second(x)))
        x = F.gelu(self.third(x))
        return self.head(self.dropout(x.mean(-1)))
