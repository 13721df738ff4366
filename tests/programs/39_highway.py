# in_shape (1, 40)
import torch
import torch.nn as nn


class HighwayMLP(nn.Module):
    def __init__(self, in_shape, num_classes, size=32, num_layers=3):
        super(HighwayMLP, self).__init__()
        self.num_layers = num_layers
        self.inp = nn.Linear(in_shape[0] * in_shape[1], size)
        self.nonlinear = nn.ModuleList([nn.Linear(size, size) for _ in range(num_layers)])
        self.linear = nn.ModuleList([nn.Linear(size, size) for _ in range(num_layers)])
        self.gate = nn.ModuleList([nn.Linear(size, size) for _ in range(num_layers)])
        self.out = nn.Linear(size, num_classes)

    def forward(self, x):
        x = self.inp(x.view(x.size(0), -1))
        for layer in range(self.num_layers):
            gate = torch.sigmoid(self.gate[layer](x))
            nonlinear = torch.relu(self.nonlinear[layer](x))
            linear = self.linear[layer](x)
            x = gate * nonlinear + (1 - gate) * linear
        return self.out(x)
