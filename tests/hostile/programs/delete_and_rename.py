"""Deletes, renames and links files."""
# ruff: noqa

EXPECT = "refused"

import os, shutil

PATH = "@CANARY@/secret.txt"


def try_remove():
    os.remove(PATH)


def try_rename():
    os.rename(PATH, PATH + ".old")


def try_replace():
    os.replace(PATH, PATH + ".old")


def try_link():
    os.link(PATH, PATH + ".link")


def try_symlink():
    os.symlink("/etc/passwd", "@CANARY@/link")


def try_remove_folder():
    os.rmdir("@CANARY@/folder")


def try_remove_tree():
    shutil.rmtree("@CANARY@/folder")
