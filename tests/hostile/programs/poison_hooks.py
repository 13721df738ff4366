"""Leaves code in hooks: tracing, exit, garbage, signals, audit."""
# ruff: noqa

EXPECT = "contained"

import atexit, gc, os, signal, sys, threading


def bite(*arguments):
    os.write(3, b"forged")


sys.settrace(bite)
sys.setprofile(bite)
atexit.register(bite)
gc.callbacks.append(bite)
sys.addaudithook(bite)
threading.excepthook = sys.excepthook = sys.unraisablehook = bite
signal.signal(signal.SIGTERM, bite)
os.register_at_fork(before=bite, after_in_parent=bite, after_in_child=bite)
