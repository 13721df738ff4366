"""The ledger: durable, append-only, one writer, and a content hash without clocks."""

import sqlite3

import pytest

from evoprompt.errors import LedgerError, StorageError
from evoprompt.ledger import Event, Ledger, content_hash


def event(generation=1, stage="train", index=0, accuracy=0.5, seconds=1.0):
    return Event(generation, stage, index, "trained", {"accuracy": accuracy}, {"seconds": seconds})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "ledger.sqlite"


def test_events_come_back_in_key_order_whatever_order_they_were_written_in(path):
    with Ledger.create(path) as ledger:
        ledger.record([event(1, "train", 1), event(1, "train", 0)])
        ledger.record([event(1, "choose", 0), event(0, "train", 5), event(1, "propose", 9)])
    keys = [e.key for e in Ledger(path).events()]
    assert keys == [
        (0, "train", 5), (1, "propose", 9), (1, "choose", 0), (1, "train", 0), (1, "train", 1)
    ]  # fmt: skip


def test_the_content_hash_ignores_clocks_and_arrival_and_nothing_else(tmp_path):
    def hash_of(name, events):
        with Ledger.create(tmp_path / name / "ledger.sqlite") as ledger:
            for each in events:
                ledger.record([each])
            return ledger.content_hash()

    first = hash_of("a", [event(index=0), event(index=1, seconds=2.0)])
    other_arrival = hash_of("b", [event(index=1, seconds=9.0), event(index=0, seconds=7.0)])
    other_result = hash_of("c", [event(index=0), event(index=1, accuracy=0.6)])
    assert first == other_arrival
    assert first != other_result
    assert first == content_hash([event(index=0), event(index=1)])


def test_a_key_is_written_once(path):
    with Ledger.create(path) as ledger:
        ledger.record([event()])
        with pytest.raises(sqlite3.IntegrityError):
            ledger.record([event(index=3), event(accuracy=0.9)])
        assert [e.index for e in ledger.events()] == [0], "a batch is recorded whole or not at all"


def test_events_of_a_range_are_found(path):
    with Ledger.create(path) as ledger:
        ledger.record([event(index=i) for i in range(10)])
        assert [e.index for e in ledger.events(1, "train", first=4, count=3)] == [4, 5, 6]
        assert ledger.find(1, "train", 9) is not None
        assert ledger.find(1, "train", 10) is None


def test_a_second_writer_is_refused_while_readers_are_welcome(path):
    with Ledger.create(path) as ledger:
        ledger.record([event()])
        with pytest.raises(LedgerError, match="written by another process"):
            Ledger(path, writable=True)
        with Ledger(path) as reader:
            assert len(reader.events()) == 1
    Ledger(path, writable=True).close()


def test_a_missing_ledger_says_what_to_do(path):
    with pytest.raises(LedgerError, match=r"no ledger at .* Check the name"):
        Ledger(path)


def test_a_file_that_is_no_ledger_is_refused(path):
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to be read as one" * 40)
    with pytest.raises(LedgerError, match="not a readable ledger"):
        Ledger(path)
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(LedgerError, match="not written by evoprompt"):
        Ledger(path)


def test_a_truncated_ledger_is_refused(path):
    with Ledger.create(path) as ledger:
        ledger.record([event(index=i) for i in range(500)])
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(LedgerError, match="not a readable ledger"):
        Ledger(path)


def test_a_ledger_of_another_format_is_refused(path):
    Ledger.create(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(LedgerError, match=r"format 99; this version reads format 1"):
        Ledger(path)


def test_a_full_disk_loses_nothing_that_was_recorded(path):
    with Ledger.create(path) as ledger:
        ledger.record([event()])
        pages = ledger._database.execute("PRAGMA page_count").fetchone()[0]
        ledger._database.execute(f"PRAGMA max_page_count = {pages}")
        big = [Event(2, "train", i, "trained", {"text": "x" * 5000}) for i in range(20)]
        with pytest.raises(StorageError, match="Free some space"):
            ledger.record(big)
        assert len(ledger.events()) == 1
