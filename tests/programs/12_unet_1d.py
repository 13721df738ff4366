# in_shape (1, 40)
import torch
import torch.nn as nn
import torch.nn.functional as F


def double_conv(i, o):
    return nn.Sequential(
        nn.Conv1d(i, o, 3, padding=1), nn.BatchNorm1d(o), nn.ReLU(),
        nn.Conv1d(o, o, 3, padding=1), nn.BatchNorm1d(o), nn.ReLU(),
    )


class UNet(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.enc1 = double_conv(in_shape[0], 8)
        self.enc2 = double_conv(8, 16)
        self.bottom = double_conv(16, 24)
        self.up2 = nn.ConvTranspose1d(24, 16, 2, stride=2)
        self.dec2 = double_conv(32, 16)
        self.up1 = nn.ConvTranspose1d(16, 8, 2, stride=2)
        self.dec1 = double_conv(16, 8)
        self.out = nn.Linear(8, num_classes)

    def forward(self, x):
        e1 = self.enc1(x)
        e2 = self.enc2(F.max_pool1d(e1, 2))
        b = self.bottom(F.max_pool1d(e2, 2))
        d2 = self.dec2(torch.cat([self.up2(b), e2], dim=1))
        d1 = self.dec1(torch.cat([self.up1(d2), e1], dim=1))
        return self.out(d1.mean(dim=2))
