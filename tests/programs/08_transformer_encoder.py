# in_shape (1, 40)
import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        d = 16
        self.embed = nn.Conv1d(in_shape[0], d, kernel_size=4, stride=4)
        self.pos = nn.Parameter(torch.zeros(1, in_shape[1] // 4, d))
        layer = nn.TransformerEncoderLayer(d, 2, dim_feedforward=32, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.fc = nn.Linear(d, num_classes)

    def forward(self, x):
        x = self.embed(x).permute(0, 2, 1) + self.pos
        x = self.encoder(x)
        return self.fc(x.mean(dim=1))
