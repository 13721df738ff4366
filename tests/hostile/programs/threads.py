"""Starts threads, of Python and of torch."""
# ruff: noqa

EXPECT = "contained"

import threading, time
import torch


def try_one():
    thread = threading.Thread(target=print)
    thread.start()
    thread.join()


def try_many():
    for _ in range(100):
        threading.Thread(target=time.sleep, args=(1,), daemon=True).start()


def try_executor():
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(8).submit(print).result()
