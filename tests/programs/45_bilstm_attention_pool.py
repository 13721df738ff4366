# in_shape (1, 40)
import torch
import torch.nn as nn
import torch.nn.functional as F


class AttentionPool(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.score = nn.Linear(hidden, 1)

    def forward(self, h):
        a = F.softmax(self.score(h), dim=1)
        return (a * h).sum(dim=1)


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.conv = nn.Conv1d(in_shape[0], 8, 4, stride=4)
        self.lstm = nn.LSTM(8, 12, batch_first=True, bidirectional=True)
        self.pool = AttentionPool(24)
        self.fc = nn.Linear(24, num_classes)

    def forward(self, x):
        x = self.conv(x).permute(0, 2, 1)
        h, _ = self.lstm(x)
        return self.fc(self.pool(h))
