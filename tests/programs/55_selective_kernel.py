# in_shape (1, 8, 8)
import torch
import torch.nn as nn


class SKConv(nn.Module):
    def __init__(self, c, r=4):
        super().__init__()
        self.conv3 = nn.Sequential(nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c), nn.ReLU())
        self.conv5 = nn.Sequential(nn.Conv2d(c, c, 3, padding=2, dilation=2, bias=False), nn.BatchNorm2d(c), nn.ReLU())
        self.fc = nn.Linear(c, c // r)
        self.fcs = nn.ModuleList([nn.Linear(c // r, c) for _ in range(2)])

    def forward(self, x):
        feats = torch.stack([self.conv3(x), self.conv5(x)], dim=1)
        u = feats.sum(dim=1)
        z = self.fc(u.mean(-1).mean(-1))
        w = torch.stack([fc(z) for fc in self.fcs], dim=1)
        w = torch.softmax(w, dim=1).unsqueeze(-1).unsqueeze(-1)
        return (feats * w).sum(dim=1)


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.c = nn.Conv2d(in_shape[0], 16, 3, padding=1)
        self.sk = SKConv(16)
        self.p = nn.AvgPool2d(2)
        self.o = nn.Linear(16 * 16, num_classes)

    def forward(self, x):
        return self.o(self.p(self.sk(torch.relu(self.c(x)))).flatten(1))
