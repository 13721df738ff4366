# in_shape (1, 8, 8)
import torch
import torch.nn as nn
import torch.nn.functional as F


class BasicConv2d(nn.Module):
    def __init__(self, in_channels, out_channels, **kwargs):
        super(BasicConv2d, self).__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    def __init__(self, in_channels, c1, c3r, c3, c5r, c5, pool):
        super(Inception, self).__init__()
        self.branch1 = BasicConv2d(in_channels, c1, kernel_size=1)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_channels, c3r, kernel_size=1),
            BasicConv2d(c3r, c3, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(in_channels, c5r, kernel_size=1),
            BasicConv2d(c5r, c5, kernel_size=5, padding=2),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1),
            BasicConv2d(in_channels, pool, kernel_size=1),
        )

    def forward(self, x):
        outputs = [self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)]
        return torch.cat(outputs, 1)


class GoogLeNet(nn.Module):
    def __init__(self, in_shape, num_classes):
        super(GoogLeNet, self).__init__()
        self.conv1 = BasicConv2d(in_shape[0], 16, kernel_size=3, padding=1)
        self.a = Inception(16, 8, 8, 8, 4, 4, 4)
        self.pool = nn.MaxPool2d(2)
        self.b = Inception(24, 8, 8, 16, 4, 8, 8)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(40, num_classes)

    def forward(self, x):
        x = self.b(self.pool(self.a(self.conv1(x))))
        x = self.avgpool(x)
        x = torch.flatten(x, 1)
        return self.fc(x)
