# in_shape (1, 8, 8)
import torch.nn as nn


class RowRNN(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.rnn = nn.RNN(8, 32, batch_first=True)
        self.lin = nn.Linear(32, num_classes)

    def forward(self, x):
        out, hidden = self.rnn(x.squeeze(1))
        return self.lin(hidden.squeeze(0))
