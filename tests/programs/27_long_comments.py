# in_shape (1, 8, 8)
# ============================================================================
# Digit classifier.
# I started from LeNet and replaced tanh by ReLU and average pooling by max
# pooling. The images are tiny (8x8), therefore no padding is lost in vain.
# ============================================================================
import torch                      # tensors
import torch.nn as nn             # layers
import torch.nn.functional as F   # functions without weights


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        # first convolution: 1 -> 6 channels, keeps 8x8
        self.c1 = nn.Conv2d(in_shape[0], 6, 5, padding=2)
        # second convolution: 6 -> 16 channels
        # (3x3 since the map is 4x4 by then)
        self.c2 = nn.Conv2d(6, 16, 3, padding=1)
        # three fully connected layers as in the paper
        self.f1 = nn.Linear(16 * 2 * 2, 60)   # 64 -> 60
        self.f2 = nn.Linear(60, 42)           # 60 -> 42
        self.f3 = nn.Linear(42, num_classes)  # 42 -> classes

    def forward(self, x):
        # (B, 1, 8, 8)
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        # (B, 6, 4, 4)
        x = F.max_pool2d(F.relu(self.c2(x)), 2)
        # (B, 16, 2, 2)
        x = torch.flatten(x, 1)
        # classifier
        x = F.relu(self.f1(x))
        x = F.relu(self.f2(x))
        # no softmax: the loss wants logits
        return self.f3(x)
