"""Waits for a lock that it holds itself."""
# ruff: noqa

EXPECT = "killed"

import threading

lock = threading.Lock()
lock.acquire()
lock.acquire()
