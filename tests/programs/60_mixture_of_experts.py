# in_shape (1, 40)
import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes, n_experts=4):
        super().__init__()
        d = in_shape[0] * in_shape[1]
        self.experts = nn.ModuleList([nn.Sequential(nn.Linear(d, 24), nn.ReLU(), nn.Linear(24, 24)) for _ in range(n_experts)])
        self.gate = nn.Linear(d, n_experts)
        self.out = nn.Linear(24, num_classes)

    def forward(self, x):
        x = x.flatten(1)
        weights = torch.softmax(self.gate(x), dim=-1)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        return self.out((weights.unsqueeze(-1) * outputs).sum(1))
