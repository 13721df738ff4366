# in_shape (1, 8, 8)
import torch
import torch.nn as nn


class Net(nn.Module):
    """CoordConv: two fixed channels tell every filter where it is."""

    def __init__(self, in_shape, num_classes):
        super().__init__()
        c, h, w = in_shape
        rows = torch.linspace(-1, 1, h).view(1, 1, h, 1).expand(1, 1, h, w)
        cols = torch.linspace(-1, 1, w).view(1, 1, 1, w).expand(1, 1, h, w)
        self.register_buffer("coords", torch.cat([rows, cols], dim=1))
        self.conv1 = nn.Conv2d(c + 2, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 24, 3, stride=2, padding=1)
        self.fc = nn.Linear(24, num_classes)

    def forward(self, x):
        x = torch.cat([x, self.coords.expand(x.shape[0], -1, -1, -1)], dim=1)
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.conv2(x))
        return self.fc(torch.amax(x, dim=(2, 3)))
