"""One net of NAS-Bench-201 (Dong & Yang 2020): 16 channels, 5 cells in each of three stages."""

import torch.nn as nn


class ConvBlock(nn.Module):
    def __init__(self, wide_in, wide_out, kernel, stride, padding):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(wide_in, wide_out, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(wide_out),
        )

    def forward(self, x):
        return self.layers(x)


class Cell(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.from_0_to_1 = ConvBlock(width, width, 3, 1, 1)
        self.from_0_to_2 = ConvBlock(width, width, 1, 1, 0)
        self.from_1_to_2 = nn.Identity()
        self.from_0_to_3 = ConvBlock(width, width, 3, 1, 1)
        self.from_1_to_3 = ConvBlock(width, width, 3, 1, 1)
        self.from_2_to_3 = nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def forward(self, x):
        one = self.from_0_to_1(x)
        two = self.from_0_to_2(x) + self.from_1_to_2(one)
        return self.from_0_to_3(x) + self.from_1_to_3(one) + self.from_2_to_3(two)


class Reduction(nn.Module):
    def __init__(self, wide_in, wide_out):
        super().__init__()
        self.first = ConvBlock(wide_in, wide_out, 3, 2, 1)
        self.second = ConvBlock(wide_out, wide_out, 3, 1, 1)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, 2), nn.Conv2d(wide_in, wide_out, 1, bias=False)
        )

    def forward(self, x):
        return self.shortcut(x) + self.second(self.first(x))


class Net(nn.Module):
    def __init__(self, in_shape, num_classes, width=16, cells=5):
        super().__init__()
        layers = [nn.Conv2d(in_shape[0], width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
        for stage in range(3):
            if stage > 0:
                layers.append(Reduction(width, 2 * width))
                width = 2 * width
            layers.extend(Cell(width) for _ in range(cells))
        layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, num_classes))

    def forward(self, x):
        return self.layers(x)
