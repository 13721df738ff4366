# in_shape (1, 40)
import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        c = [in_shape[0], 8, 16, 32]
        self.convs = nn.ModuleList([nn.Conv1d(c[i], c[i + 1], 3, stride=2, padding=1) for i in range(3)])
        self.heads = nn.ModuleList([nn.Linear(c[i + 1], num_classes) for i in range(3)])
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        logits = 0
        for i, (conv, head) in enumerate(zip(self.convs, self.heads)):
            x = F.relu(conv(x))
            logits = logits + self.scale[i] * head(x.mean(-1))
        return logits
