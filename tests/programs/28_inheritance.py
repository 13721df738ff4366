# in_shape (1, 40)
import torch
import torch.nn as nn


class Base(nn.Module):
    width = 16

    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.in_shape = in_shape
        self.features = self.build_features()
        self.classifier = nn.Linear(self.feature_dim, num_classes)

    @property
    def feature_dim(self):
        return self.width

    def build_features(self):
        return nn.Conv1d(self.in_shape[0], self.width, 3, padding=1)

    def pool(self, h):
        return h.mean(-1)

    def forward(self, x):
        return self.classifier(self.pool(self.features(x)))


class Wide(Base):
    width = 32

    def build_features(self):
        return nn.Sequential(super().build_features(), nn.BatchNorm1d(self.width), nn.ReLU(),
                             nn.Conv1d(self.width, self.width, 3, stride=2, padding=1), nn.ReLU())


class Net(Wide):
    @property
    def feature_dim(self):
        return 2 * self.width

    def pool(self, h):
        return torch.cat([h.mean(-1), h.amax(-1)], dim=1)
