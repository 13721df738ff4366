"""Runs code while classes are made: metaclass, class body, __init_subclass__."""
# ruff: noqa

EXPECT = "refused"


class Meta(type):
    def __new__(cls, name, bases, names):
        names["found"] = (
            __builtins__["__import__"]("os") if isinstance(__builtins__, dict) else __import__("os")
        )
        return super().__new__(cls, name, bases, names)


class Base(metaclass=Meta):
    import os as inside

    def __init_subclass__(cls):
        cls.third = cls.inside


class Child(Base):
    pass


found = Child.found
assert found is Child.inside is Child.third


def try_read():
    return found.open("@CANARY@/secret.txt", 0)


def try_start():
    return found.fork() or found._exit(0)
