# in_shape (1, 40)
import torch
import torch.nn as nn


class MultiScale(nn.Module):
    def __init__(self, c_in, c_out, kernels=(3, 5, 9)):
        super().__init__()
        self.paths = nn.ModuleList([nn.Conv1d(c_in, c_out, k, padding=k // 2) for k in kernels])
        self.act = nn.ELU()

    def forward(self, x):
        return self.act(sum(p(x) for p in self.paths))


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.net = nn.Sequential(MultiScale(in_shape[0], 12), nn.MaxPool1d(2), MultiScale(12, 16), nn.MaxPool1d(2),
                                 nn.Flatten(), nn.Linear(160, num_classes))

    def forward(self, x):
        return self.net(x)
