"""Reaches os by the list of all classes."""
# ruff: noqa

EXPECT = "refused"

found = None
for cls in ().__class__.__base__.__subclasses__():
    if cls.__name__ == "_wrap_close":
        found = cls.__init__.__globals__["sys"].modules["os"]


def try_read():
    return found.open("@CANARY@/secret.txt", 0)


def try_start():
    return found.fork() or found._exit(0)
