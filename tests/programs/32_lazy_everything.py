# in_shape (1, 8, 8)
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.LazyConv2d(16, 3, padding="same"),
            nn.LazyBatchNorm2d(),
            nn.Hardswish(),
            nn.LazyConv2d(32, 3, padding="same", groups=4),
            nn.LazyBatchNorm2d(),
            nn.Hardswish(),
            nn.AvgPool2d(2),
            nn.LazyConv2d(32, 1),
            nn.Flatten(),
            nn.LazyLinear(32),
            nn.Hardswish(),
            nn.LazyLinear(num_classes),
        )

    def forward(self, x):
        return self.layers(x)
