"""Sleeps for an hour."""
# ruff: noqa

EXPECT = "killed"

import time

time.sleep(3600)
