# in_shape (1, 40)
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.c1 = nn.Conv1d(in_shape[0], 16, 5, padding=2, padding_mode="circular")
        self.c2 = nn.Conv1d(16, 16, 4, padding="same")
        self.c3 = nn.Conv1d(16, 24, 3, padding=1, padding_mode="reflect", stride=2)
        self.act = nn.PReLU()
        self.fc = nn.Linear(24, num_classes)

    def forward(self, x):
        for c in (self.c1, self.c2, self.c3):
            x = self.act(c(x))
        return self.fc(x.mean(2))
