import os
import subprocess
import sys
import time

import pytest

from evoprompt.propose.worker_pipe import WorkerError, WorkerPipe

MODULE = "tests.propose.odd_worker"


@pytest.fixture
def worker():
    started = WorkerPipe(MODULE, os.environ)
    yield started
    started.close()


def test_requests_of_any_size_are_answered_one_by_one(worker):
    first = worker.ask({"do": "echo", "text": "abc"}, 30)
    assert first["echo"] == "cba"
    text = "é\n" * 400_000  # more than a pipe holds
    second = worker.ask({"do": "echo", "text": text}, 30)
    assert second["echo"] == text[::-1]
    assert second["pid"] == first["pid"] != os.getpid()
    assert "printed lines" in worker.last_lines()


def test_a_failure_is_answered_and_the_child_goes_on(worker):
    assert worker.ask({"do": "fail"}, 30) == {"error": "ValueError: not like this"}
    assert "Traceback" in worker.last_lines()
    assert worker.ask({"do": "echo", "text": "x"}, 30)["echo"] == "x"


def test_a_child_that_died_is_said_with_its_last_lines(worker):
    with pytest.raises(WorkerError, match="died with code 3") as caught:
        worker.ask({"do": "die"}, 30)
    assert caught.value.log == "out of memory, good bye"


def test_a_child_that_hangs_is_ended_in_time(worker):
    pid = worker.ask({"do": "echo"}, 30)["pid"]
    started = time.monotonic()
    with pytest.raises(WorkerError, match="no answer within 1 s") as caught:
        worker.ask({"do": "hang"}, 1.0)
    assert time.monotonic() - started < 60
    assert caught.value.log.endswith("thinking about it")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_closing_ends_the_child_and_may_be_done_twice(worker):
    pid = worker.ask({"do": "echo"}, 30)["pid"]
    worker.close()
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_killed_parent_leaves_no_child_behind():
    program = (
        "import os, signal\n"
        "from evoprompt.propose.worker_pipe import WorkerPipe\n"
        f"print(WorkerPipe({MODULE!r}, os.environ).ask({{'do': 'echo'}}, 30)['pid'], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    pid = int(said.stdout)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("the child lives on")
