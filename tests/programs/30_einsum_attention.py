# in_shape (1, 40)
import torch
import torch.nn as nn


class Net(nn.Module):
    """Self-attention written with einsum and plain parameters."""

    def __init__(self, in_shape, num_classes, d=16, h=2):
        super().__init__()
        self.d, self.h = d, h
        self.conv = nn.Conv1d(in_shape[0], d, 4, stride=2, padding=1)
        self.wq = nn.Parameter(torch.randn(d, h, d // h) * d**-0.5)
        self.wk = nn.Parameter(torch.randn(d, h, d // h) * d**-0.5)
        self.wv = nn.Parameter(torch.randn(d, h, d // h) * d**-0.5)
        self.wo = nn.Parameter(torch.randn(h, d // h, d) * d**-0.5)
        self.norm = nn.LayerNorm(d)
        self.out = nn.Linear(d, num_classes)

    def forward(self, x):
        x = self.conv(x).transpose(1, 2)
        y = self.norm(x)
        q = torch.einsum("btd,dhk->bhtk", y, self.wq)
        k = torch.einsum("btd,dhk->bhtk", y, self.wk)
        v = torch.einsum("btd,dhk->bhtk", y, self.wv)
        a = torch.softmax(torch.einsum("bhtk,bhsk->bhts", q, k) / (self.d // self.h) ** 0.5, dim=-1)
        y = torch.einsum("bhts,bhsk->bhtk", a, v)
        x = x + torch.einsum("bhtk,hkd->btd", y, self.wo)
        return self.out(x.mean(1))
