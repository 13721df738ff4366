# in_shape (1, 40)
import torch
import torch.nn as nn


class SequenceClassifier(nn.Module):
    """Cut the signal into eight chunks of five samples and read them with an LSTM."""

    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.lstm = nn.LSTM(input_size=5, hidden_size=20, num_layers=2, batch_first=True)
        self.head = nn.Linear(20, num_classes)

    def forward(self, x):
        b = x.shape[0]
        x = x.reshape(b, 8, 5)
        y, (h, c) = self.lstm(x)
        return self.head(h[-1])
