# in_shape (1, 40)
import torch
import torch.nn as nn


class GatedBlock(nn.Module):
    def __init__(self, ch, dilation):
        super().__init__()
        self.filter = nn.Conv1d(ch, ch, 3, padding=dilation, dilation=dilation)
        self.gate = nn.Conv1d(ch, ch, 3, padding=dilation, dilation=dilation)
        self.res = nn.Conv1d(ch, ch, 1)
        self.skip = nn.Conv1d(ch, ch, 1)

    def forward(self, x):
        z = torch.tanh(self.filter(x)) * torch.sigmoid(self.gate(x))
        return x + self.res(z), self.skip(z)


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.start = nn.Conv1d(in_shape[0], 12, 1)
        self.blocks = nn.ModuleList(GatedBlock(12, 2**i) for i in range(3))
        self.end = nn.Conv1d(12, 12, 1)
        self.fc = nn.Linear(12, num_classes)

    def forward(self, x):
        x = self.start(x)
        total = 0
        for b in self.blocks:
            x, s = b(x)
            total = total + s
        h = torch.relu(self.end(torch.relu(total)))
        return self.fc(h.mean(2))
