"""Puts code into torch and site-packages, for those who import them next."""
# ruff: noqa

EXPECT = "refused"

import os
import torch

FOLDER = os.path.dirname(os.path.dirname(torch.__file__))


def try_new_module():
    path = FOLDER + "/evoprompt_hostile.pth"
    open(path, "w").write("")
    os.remove(path)


def try_torch():
    return open(torch.__file__, "r+b")


def try_library():
    return open(os.__file__, "r+b")


def try_cache():
    os.mkdir(FOLDER + "/torch/__pycache__/hostile")
