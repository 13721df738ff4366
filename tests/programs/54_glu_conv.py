# in_shape (1, 40)
import torch
import torch.nn as nn
import torch.nn.functional as F


class GLUConv(nn.Module):
    def __init__(self, cin, cout, k):
        super().__init__()
        self.conv = nn.Conv1d(cin, 2 * cout, k, padding=k // 2)

    def forward(self, x):
        return F.glu(self.conv(x), dim=1)


class ConvGLUNet(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.l1 = GLUConv(in_shape[0], 16, 5)
        self.l2 = GLUConv(16, 16, 5)
        self.l3 = GLUConv(16, 24, 3)
        self.fc = nn.Linear(24, num_classes)

    def forward(self, x):
        x = self.l1(x)
        x = (x + self.l2(x)) * (0.5 ** 0.5)
        x = F.avg_pool1d(x, kernel_size=2)
        x = self.l3(x)
        return self.fc(x.mean(-1))
