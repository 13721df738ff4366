# in_shape (1, 40)
import math
import torch
import torch.nn as nn


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, max_len=64):
        super().__init__()
        position = torch.arange(max_len).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe = torch.zeros(max_len, d_model)
        pe[:, 0::2] = torch.sin(position * div_term)
        pe[:, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe)

    def forward(self, x):
        return x + self.pe[: x.size(1)]


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.proj = nn.Linear(in_shape[0] * 2, 16)
        self.pe = PositionalEncoding(16)
        self.att = nn.MultiheadAttention(16, 2, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.fc = nn.Linear(16, num_classes)

    def forward(self, x):
        x = self.pe(self.proj(x.reshape(x.size(0), 20, 2)))
        x = self.norm(x + self.att(x, x, x, need_weights=False)[0])
        return self.fc(x.max(dim=1).values)
