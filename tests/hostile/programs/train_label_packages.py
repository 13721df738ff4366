"""Takes labels from scikit-learn's files or makes mnist1d's anew, while it trains."""
# ruff: noqa

EXPECT = "train_refused"

import os
import torch

FOLDER = os.path.dirname(os.path.dirname(torch.__file__))


def try_digits():
    return open(FOLDER + "/sklearn/datasets/data/digits.csv.gz", "rb").read()


def try_import_digits():
    from sklearn.datasets import load_digits

    return load_digits()


def try_mnist1d():
    from mnist1d.data import make_dataset

    return make_dataset


def try_modules():
    import sys

    assert [name for name in sys.modules if name.split(".")[0] in ("sklearn", "mnist1d")]


def try_task_code():
    import evoprompt.train.mnist1d


import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_shape, num_classes):
        super().__init__()
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        if self.training:
            run_attempts()
        return self.head(x)
