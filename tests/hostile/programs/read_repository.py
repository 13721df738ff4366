"""Reads this project: its settings, its source, its version history."""
# ruff: noqa

EXPECT = "refused"

import os


def try_project():
    return open("@REPO@/pyproject.toml").read()


def try_source():
    return open("@REPO@/evoprompt/errors.py").read()


def try_list():
    return os.listdir("@REPO@")


def try_history():
    return os.listdir("@REPO@/.git")


def try_tests():
    return open("@REPO@/tests/conftest.py").read()
