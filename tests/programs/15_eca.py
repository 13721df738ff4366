# in_shape (1, 8, 8)
import torch, torch.nn as nn, math
class ECA(nn.Module):
    def __init__(s, c, gamma=2, b=1):
        super().__init__()
        t = int(abs((math.log2(c) + b) / gamma))
        k = t if t % 2 else t + 1
        s.pool = nn.AdaptiveAvgPool2d(1)
        s.conv = nn.Conv1d(1, 1, k, padding=k // 2, bias=False)
    def forward(s, x):
        y = s.pool(x)
        y = s.conv(y.squeeze(-1).transpose(-1, -2)).transpose(-1, -2).unsqueeze(-1)
        return x * torch.sigmoid(y)
class Net(nn.Module):
    def __init__(s, in_shape, num_classes):
        super().__init__()
        s.a = nn.Conv2d(in_shape[0], 16, 3, 1, 1)
        s.e = ECA(16)
        s.b = nn.Conv2d(16, 32, 3, 2, 1)
        s.f = ECA(32)
        s.o = nn.Linear(32, num_classes)
    def forward(s, x):
        x = torch.relu(s.e(s.a(x)))
        x = torch.relu(s.f(s.b(x)))
        return s.o(x.mean((2, 3)))
