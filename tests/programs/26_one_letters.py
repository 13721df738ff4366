# in_shape (1, 40)
import torch as t, torch.nn as n, torch.nn.functional as f
class Net(n.Module):
    def __init__(s, i, o):
        super().__init__()
        s.a = n.Conv1d(i[0], 12, 3, 1, 1); s.b = n.Conv1d(12, 12, 3, 1, 1)
        s.c = n.Conv1d(12, 24, 3, 2, 1); s.d = n.Linear(24, o)
    def forward(s, x):
        x = f.leaky_relu(s.a(x)); y = f.leaky_relu(s.b(x)); x = x + y
        x = f.leaky_relu(s.c(x)); x = t.amax(x, 2)
        return s.d(x)
