# in_shape (1, 40)
import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.gru = nn.GRU(in_shape[0], 24, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(48, num_classes)

    def forward(self, x):
        out, _ = self.gru(x.transpose(1, 2))
        return self.fc(out[:, -1, :])
