# in_shape (1, 8, 8)
import torch
import torch.nn as nn


def norm(kind, c):
    if kind == "bn":
        return nn.BatchNorm2d(c)
    elif kind == "gn":
        return nn.GroupNorm(2, c)
    else:
        return nn.Identity()


def act(kind):
    table = {"relu": nn.ReLU(), "tanh": nn.Tanh(), "mish": nn.Mish()}
    return table[kind]


SPEC = [
    dict(out=8, k=3, s=1, norm="bn", act="relu"),
    dict(out=16, k=3, s=2, norm="gn", act="mish"),
    dict(out=24, k=1, s=1, norm="none", act="tanh"),
]


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        c = in_shape[0]
        self.body = nn.Sequential()
        for i, row in enumerate(SPEC):
            self.body.add_module("conv" + str(i), nn.Conv2d(c, row["out"], row["k"], row["s"], row["k"] // 2))
            self.body.add_module("norm" + str(i), norm(row["norm"], row["out"]))
            self.body.add_module("act" + str(i), act(row["act"]))
            c = row["out"]
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * c, num_classes))

    def forward(self, x):
        return self.head(self.body(x))
