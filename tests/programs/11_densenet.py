# in_shape (1, 8, 8)
import torch
import torch.nn as nn
import torch.nn.functional as F


class DenseLayer(nn.Module):
    def __init__(self, inp, growth):
        super().__init__()
        self.bn = nn.BatchNorm2d(inp)
        self.conv = nn.Conv2d(inp, growth, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.cat([x, self.conv(F.relu(self.bn(x)))], 1)


class Transition(nn.Module):
    def __init__(self, inp, out):
        super().__init__()
        self.bn = nn.BatchNorm2d(inp)
        self.conv = nn.Conv2d(inp, out, 1, bias=False)

    def forward(self, x):
        return F.avg_pool2d(self.conv(F.relu(self.bn(x))), 2)


class DenseNet(nn.Module):
    def __init__(self, in_channels=1, num_classes=10, growth=8):
        super().__init__()
        ch = 16
        self.conv = nn.Conv2d(in_channels, ch, 3, padding=1)
        stages = []
        for i in range(2):
            for _ in range(3):
                stages.append(DenseLayer(ch, growth))
                ch += growth
            if i == 0:
                stages.append(Transition(ch, ch // 2))
                ch = ch // 2
        self.stages = nn.Sequential(*stages)
        self.bn = nn.BatchNorm2d(ch)
        self.fc = nn.Linear(ch, num_classes)

    def forward(self, x):
        x = self.stages(self.conv(x))
        x = F.adaptive_avg_pool2d(F.relu(self.bn(x)), 1)
        return self.fc(torch.flatten(x, 1))
