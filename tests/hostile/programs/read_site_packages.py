"""Reads packages that hold data or are none of a candidate's business."""
# ruff: noqa

EXPECT = "refused"

import os
import torch

FOLDER = os.path.dirname(os.path.dirname(torch.__file__))


def try_list():
    return os.listdir(FOLDER)


def try_digits():
    return open(FOLDER + "/sklearn/datasets/data/digits.csv.gz", "rb").read(9)


def try_mnist1d():
    return open(FOLDER + "/mnist1d/data.py").read()


def try_transformers():
    return open(FOLDER + "/transformers/__init__.py").read()


def try_import_sklearn():
    import sklearn.datasets

    return sklearn.datasets.load_digits()


def try_import_mnist1d():
    import mnist1d.data

    return mnist1d.data.get_dataset_args()
