# in_shape (1, 8, 8)
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.down = nn.PixelUnshuffle(2)
        self.body = nn.Sequential(nn.Conv2d(4 * in_shape[0], 24, 3, padding=1), nn.InstanceNorm2d(24, affine=True), nn.CELU(),
                                  nn.Conv2d(24, 32, 3, padding=1), nn.InstanceNorm2d(32), nn.CELU())
        self.up = nn.PixelShuffle(2)
        self.last = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.fc = nn.Linear(16 * 16, num_classes)

    def forward(self, x):
        x = self.up(self.body(self.down(x)))
        return self.fc(self.last(x).flatten(1))
