# in_shape (1, 40)
import torch
import torch.nn as nn
import torch.nn.functional as F


class CausalConv(nn.Module):
    def __init__(self, c_in, c_out, k, dilation):
        super().__init__()
        self.pad = (k - 1) * dilation
        self.conv = nn.Conv1d(c_in, c_out, k, dilation=dilation)

    def forward(self, x):
        return self.conv(F.pad(x, (self.pad, 0)))


class TemporalBlock(nn.Module):
    def __init__(self, c_in, c_out, k, dilation):
        super().__init__()
        self.c1 = CausalConv(c_in, c_out, k, dilation)
        self.c2 = CausalConv(c_out, c_out, k, dilation)
        self.skip = nn.Conv1d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x):
        y = F.relu(self.c1(x))
        y = F.relu(self.c2(y))
        return F.relu(y + self.skip(x))


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.blocks = nn.Sequential(*[TemporalBlock(in_shape[0] if i == 0 else 12, 12, 3, 2 ** i) for i in range(4)])
        self.fc = nn.Linear(12, num_classes)

    def forward(self, x):
        return self.fc(self.blocks(x)[:, :, -1])
