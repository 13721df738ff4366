"""Answers with figures and a verdict that nobody asked it for."""
# ruff: noqa

EXPECT = "forged"

import json, os

claim = {"graph": "0" * 64, "parameters": 1, "macs": 1, "depth": 1, "accuracy": 1.0}
os.write(3, b"D" + json.dumps(claim).encode() + b"\n" + b"\x08\x09")
os._exit(0)
