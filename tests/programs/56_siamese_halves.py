# in_shape (1, 40)
import torch
import torch.nn as nn


class Net(nn.Module):
    """The same encoder reads both halves of the signal; the difference is classified too."""

    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv1d(in_shape[0], 16, 5, 2, 2), nn.ReLU(), nn.Conv1d(16, 16, 3, 2, 1), nn.ReLU(), nn.Flatten())
        self.fc = nn.Linear(3 * 80, num_classes)

    def forward(self, x):
        left, right = x[:, :, :20], x[:, :, 20:]
        a, b = self.encoder(left), self.encoder(right)
        return self.fc(torch.cat([a, b, torch.abs(a - b)], dim=1))
