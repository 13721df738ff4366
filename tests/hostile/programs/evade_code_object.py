"""Makes code from bytes, and functions from code."""
# ruff: noqa

EXPECT = "refused"

import types

code = compile("import os; result = os", "<candidate>", "exec")
names = {}
types.FunctionType(code.replace(co_name="forward"), names)()
found = names["result"]


def try_read():
    return found.open("@CANARY@/secret.txt", 0)


def try_start():
    return found.fork() or found._exit(0)
