"""Reads the homes of users: listings, keys, shell history."""
# ruff: noqa

EXPECT = "refused"

import glob, os, pathlib


def try_list_homes():
    return os.listdir("/home")


def try_list_root_home():
    return os.listdir("/root")


def try_scan():
    return list(os.scandir("@HOME@"))


def try_glob():
    assert glob.glob("@HOME@/*") or glob.glob("@HOME@/.*")


def try_key():
    return pathlib.Path("@HOME@/.ssh/id_ed25519").read_text()


def try_token():
    return pathlib.Path("@HOME@/.cache/huggingface/token").read_text()
