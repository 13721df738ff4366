# in_shape (1, 40)
import torch
import torch.nn as nn
import torch.nn.functional as F


class CausalSelfAttention(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        assert n_embd % n_head == 0
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)
        self.n_head = n_head
        self.n_embd = n_embd

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.c_attn(x).split(self.n_embd, dim=2)
        k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v)
        y = y.transpose(1, 2).contiguous().view(B, T, C)
        return self.c_proj(y)


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.wte = nn.Linear(in_shape[0] * 4, 16)
        self.attn = CausalSelfAttention(16, 2)
        self.ln_1 = nn.LayerNorm(16)
        self.ln_2 = nn.LayerNorm(16)
        self.c_fc = nn.Linear(16, 32)
        self.c_proj = nn.Linear(32, 16)
        self.lm_head = nn.Linear(16, num_classes, bias=False)

    def forward(self, x):
        x = self.wte(x.view(-1, 10, 4))
        x = x + self.attn(self.ln_1(x))
        x = x + self.c_proj(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))
        return self.lm_head(x[:, -1])
