# in_shape (1, 40)
import torch
import torch.nn as nn
import torch.nn.functional as F


class MambaLikeBlock(nn.Module):
    def __init__(self, d, expand=2, k=4):
        super().__init__()
        inner = d * expand
        self.norm = nn.LayerNorm(d)
        self.in_proj = nn.Linear(d, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, k, padding=k - 1, groups=inner)
        self.out_proj = nn.Linear(inner, d, bias=False)

    def forward(self, x):
        n = x.shape[1]
        u, gate = self.in_proj(self.norm(x)).chunk(2, dim=-1)
        u = self.conv(u.transpose(1, 2))[:, :, :n].transpose(1, 2)
        return x + self.out_proj(F.silu(u) * F.silu(gate))


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.emb = nn.Linear(2 * in_shape[0], 12)
        self.b1 = MambaLikeBlock(12)
        self.b2 = MambaLikeBlock(12)
        self.fc = nn.Linear(12, num_classes)

    def forward(self, x):
        h = self.emb(x.view(x.shape[0], 20, 2))
        h = self.b2(self.b1(h))
        return self.fc(h[:, -1])
