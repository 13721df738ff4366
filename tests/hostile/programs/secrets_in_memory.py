"""Looks for keys, labels and the search itself in all objects of its memory."""
# ruff: noqa

EXPECT = "refused"

import gc
import sys


def texts():
    for holder in gc.get_objects():
        for found in gc.get_referents(holder):
            if isinstance(found, str):
                yield found


def try_key():
    key = "@EULAV_TERCES@"[::-1]
    assert any(key in text for text in texts() if text is not key)


def try_data():
    assert {name.partition(".")[0] for name in sys.modules} & {"sklearn", "mnist1d", "pandas"}


def try_search():
    assert {"evoprompt.ledger", "evoprompt.search", "evoprompt.train"} & set(sys.modules)
