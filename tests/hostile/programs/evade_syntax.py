"""Hides calls in decorators, defaults, walrus, f-strings and patterns."""
# ruff: noqa

EXPECT = "refused"


@(lambda f: f())
def first(name="".join(chr(c) for c in (111, 115))):
    return __import__(name)


match {"a": first}:
    case {"a": (second)} if third := second:
        found = third
text = f"{(found := third).name!s:>{len('x')}}"


def try_read():
    return found.open("@CANARY@/secret.txt", 0)


def try_start():
    return found.fork() or found._exit(0)
