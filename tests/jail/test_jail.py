"""One job per forked child: its limits hold, nothing of it stays, and the next job is untouched."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evoprompt.errors import JailError
from evoprompt.jail import JailPool, Limits, Outcome, Zygote

LIMITS = Limits(seconds=20, cpu_seconds=1, memory_mb=256, output_bytes=1 << 20)
PIPES = """
import stat
kinds = {}
for number in range(3, 300):
    try: kinds[number] = stat.S_IFMT(os.fstat(number).st_mode)
    except OSError: pass
pipes = [number for number, kind in kinds.items() if kind == stat.S_IFIFO]
"""
FLOOD = PIPES + "while True: os.write(pipes[0], b'D' * 65536)"
WARM = ["tests.jail.entries:warm"]
SECRET = "EVOPROMPT_TEST_SECRET"


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    os.environ[SECRET] = "a key"
    with Zygote(WARM) as it:
        yield it
    del os.environ[SECRET]


def python(zygote: Zygote, program: str, limits: Limits = LIMITS) -> Outcome:
    return zygote.run("tests.jail.entries:python", program.encode(), limits)


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_until_gone(process: int, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while is_alive(process) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_alive(process)


def test_returns_what_the_entry_function_returns(zygote: Zygote) -> None:
    data = os.urandom(900_000)
    outcome = zygote.run("tests.jail.entries:echo", data, LIMITS)
    assert (outcome.output, outcome.killed) == (data, None)
    assert 0 < outcome.seconds < 20


@pytest.mark.parametrize(
    ("program", "killed"),
    [
        ("while True: pass", "cpu"),
        ("kept = bytearray(1 << 30)", "memory"),
        ("result = 'x' * (2 << 20)", "output"),
        (FLOOD, "output"),
        ("os.abort()", "crash"),
        ("os._exit(0)", "crash"),
        ("raise ValueError('x' * 100_000_000)", "memory"),
        ("raise ValueError('x' * 10_000_000)", "crash"),
        ("sys.exit(3)", "crash"),
        ("print('x' * 1_000_000); os.write(1, b'flood' * 100_000); sys.exit(1)", "crash"),
    ],
)
def test_a_bad_job_is_killed_and_the_next_one_works(
    zygote: Zygote, program: str, killed: str
) -> None:
    before = zygote.process_id
    outcome = python(zygote, program)
    if "100_000_000" in program:  # the message fits, or it does not: both are fine
        assert outcome.killed in {"memory", "crash"}
    else:
        assert outcome.killed == killed
    assert outcome.output is None
    assert len(outcome.detail) <= 2000
    assert zygote.run("tests.jail.entries:echo", b"clean", LIMITS).output == b"clean"
    assert zygote.process_id == before


def test_a_sleeping_job_is_killed_at_its_wall_limit(zygote: Zygote) -> None:
    limits = Limits(seconds=0.5, cpu_seconds=2, memory_mb=256)
    outcome = python(zygote, "time.sleep(60)", limits)
    assert outcome.killed == "wall"
    assert outcome.seconds < 3  # it is tried twice, for it may have been a hang


def test_a_job_that_hangs_once_is_run_again_and_one_that_works_is_not(tmp_path: Path) -> None:
    program = f"""
import threading
lock, tries = threading.Lock(), open({str(tmp_path / "tries")!r}, "a+")
tries.write("x")
tries.seek(0)
count = len(tries.read())
tries.close()
lock.acquire()
if count == 1: lock.acquire()
end = time.monotonic() + 1
while time.monotonic() < end: pass
result = count
"""
    limits = Limits(seconds=3, cpu_seconds=9, memory_mb=256, file_bytes=99)
    with Zygote(WARM, confined=False) as unconfined:
        assert [python(unconfined, program, limits).output for _ in range(2)] == [b"2", b"3"]


def test_a_job_that_ignores_signals_is_killed(zygote: Zygote) -> None:
    program = (
        "import signal\n"
        "for s in (signal.SIGXCPU, signal.SIGTERM, signal.SIGHUP): signal.signal(s, lambda *a: 0)\n"
        "while True: pass"
    )
    assert python(zygote, program).killed in {"cpu", "wall"}


def test_the_environment_holds_nothing_of_ours(zygote: Zygote) -> None:
    output = python(zygote, "result = dict(os.environ), os.getcwd()").output
    assert output is not None
    assert SECRET.encode() not in output
    assert b"HOME" not in output
    assert output.endswith(b"'/')")


def test_a_job_has_its_own_pipe_and_no_other_descriptor(zygote: Zygote) -> None:
    output = python(zygote, PIPES + "result = len(kinds), len(pipes)").output
    assert output == b"(1, 1)"


@pytest.mark.parametrize(
    "program",
    [
        "os.fork()",
        "import subprocess; subprocess.run(['true'])",
        "import socket; socket.socket()",
        "os.kill(os.getppid(), 9)",
        "open('/tmp/evoprompt-was-here', 'w')",
        "os.remove('/tmp/evoprompt-to-be-kept')",
        "os.chmod('/tmp/evoprompt-to-be-kept', 0)",
    ],
)
def test_a_confined_job_starts_no_process_and_changes_no_file(zygote: Zygote, program: str) -> None:
    if not (zygote.available["landlock"] and zygote.available["seccomp"]):
        pytest.skip("this machine lacks Landlock or seccomp")
    kept = Path("/tmp/evoprompt-to-be-kept")
    kept.touch()
    try:
        outcome = python(zygote, program)
        assert outcome.killed == "crash"
        assert "PermissionError" in outcome.detail
        assert kept.exists()
        assert not Path("/tmp/evoprompt-was-here").exists()
    finally:
        kept.unlink()


def test_without_confinement_survivors_of_a_job_are_killed_all_the_same() -> None:
    program = """
pipe = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        os.write(pipe[1], str(os.getpid()).encode().ljust(10))
        while True: time.sleep(1)
    os._exit(0)
result = int(os.read(pipe[0], 10))
"""
    with Zygote(WARM, confined=False) as unconfined:
        outcome = python(unconfined, program)
        assert outcome.output is not None
        assert not is_alive(int(outcome.output))
        bomb = "for _ in range(6): os.fork()\nos.setsid()\ntime.sleep(60)"
        limits = Limits(seconds=0.5, cpu_seconds=2, memory_mb=256)
        assert python(unconfined, bomb, limits).killed in {"wall", "crash"}
        children = Path(f"/proc/{unconfined.process_id}/task/{unconfined.process_id}/children")
        assert children.read_text().split() == []


def test_a_zygote_that_dies_is_started_again() -> None:
    with Zygote(WARM) as zygote:
        assert zygote.run("tests.jail.entries:echo", b"1", LIMITS).output == b"1"
        first = zygote.process_id
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert zygote.run("tests.jail.entries:echo", b"2", LIMITS).output == b"2"
        assert zygote.process_id != first


def test_a_zygote_that_keeps_dying_and_one_that_cannot_start_say_so() -> None:
    with (
        Zygote(WARM, confined=False) as zygote,
        pytest.raises(JailError, match="died twice"),
    ):
        python(zygote, "os.kill(os.getppid(), 9)")
    with (
        Zygote(["tests.jail.entries:missing"]) as zygote,
        pytest.raises(JailError, match="missing"),
    ):
        zygote.start()
    zygote = Zygote(WARM)
    zygote.close()
    with pytest.raises(JailError, match="closed"):
        python(zygote, "pass")


def test_nothing_is_left_after_close() -> None:
    zygote = Zygote(WARM)
    zygote.start()
    process = zygote.process_id
    assert process is not None
    zygote.close()
    assert not is_alive(process)


def test_a_pool_gives_every_outcome_once_and_survives_a_caller_who_leaves() -> None:
    with JailPool(2, WARM) as pool:
        jobs = [("tests.jail.entries:echo", str(n).encode(), LIMITS) for n in range(20)]
        outcomes = dict(pool.imap(jobs))
        assert {n: o.output for n, o in outcomes.items()} == {n: b"%d" % n for n in range(20)}
        assert list(pool.imap([])) == []
        slow = ("tests.jail.entries:python", b"time.sleep(60)", Limits(30, 2, 256))
        running = pool.imap([jobs[0], slow, slow])
        next(running)
        begin = time.monotonic()
        running.close()
        assert time.monotonic() - begin < 10
        assert dict(pool.imap(jobs[:2]))[1].output == b"1"


def test_a_zygote_and_its_job_end_when_their_parent_is_killed() -> None:
    program = (
        "import sys, threading; from evoprompt.jail import Limits, Zygote\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        f"z = Zygote({WARM!r}); z.start(); print(z.process_id, flush=True)\n"
        "z.run('tests.jail.entries:python', b'time.sleep(60)', Limits(60, 60, None))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    zygote = int(parent.stdout.readline())
    children = Path(f"/proc/{zygote}/task/{zygote}/children")
    end = time.monotonic() + 10
    while not children.read_text().split() and time.monotonic() < end:
        time.sleep(0.02)
    (child,) = (int(process) for process in children.read_text().split())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_until_gone(zygote)
    assert wait_until_gone(child)
