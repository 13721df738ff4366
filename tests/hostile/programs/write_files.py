"""Makes files and appends to one that is there."""
# ruff: noqa

EXPECT = "refused"

import os
import numpy as np
import torch


def try_new_file():
    open("@CANARY@/new.txt", "w").write("hostile")


def try_append():
    open("@CANARY@/secret.txt", "a").write("hostile")


def try_truncate():
    os.truncate("@CANARY@/secret.txt", 0)


def try_tmp():
    open("/tmp/evoprompt-hostile.txt", "w").write("hostile")


def try_var_tmp():
    open("/var/tmp/evoprompt-hostile.txt", "w").write("hostile")


def try_numpy():
    np.save("@CANARY@/new.npy", np.zeros(3))


def try_torch():
    torch.save({}, "@CANARY@/new.pt")


def try_unnamed():
    return os.open("@CANARY@", os.O_TMPFILE | os.O_RDWR)
