"""What is laid on a child, what is said of a platform that lacks it, and who may share a child."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from evoprompt.errors import JailError
from evoprompt.jail import JailPool, Limits, Zygote, confine, readable, seccomp, syscalls
from tests.jail.test_jail import LIMITS, WARM, python

HEADERS = {
    0: Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    1: Path("/usr/include/asm-generic/unistd.h"),
}
STATUS = """
text = {line.split(':')[0]: line.split()[1:] for line in open('/proc/self/status')}
result = [text[name][0] for name in ('CapPrm', 'CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp')]
"""


@pytest.fixture(scope="module")
def keeper() -> Iterator[Zygote]:
    with Zygote(WARM, reuse=5) as it:
        yield it


def process_of(zygote: Zygote) -> bytes | None:
    return python(zygote, "result = os.getpid()").output


@pytest.mark.parametrize("part", ["landlock", "seccomp"])
def test_without_landlock_or_seccomp_nothing_is_run(part: str) -> None:
    with (
        Zygote(WARM, lacking=[part]) as zygote,
        pytest.raises(JailError, match=r"not run on this machine: the kernel .* --screen\.unsafe"),
    ):
        zygote.start()


@pytest.mark.parametrize("part", ["landlock", "seccomp"])
def test_unsafe_runs_all_the_same_and_says_what_is_missing(part: str) -> None:
    with Zygote(WARM, lacking=[part], unsafe=True) as zygote:
        assert python(zygote, "result = 1").output == b"1"
        assert not zygote.available[part]
        assert any("program could" in sentence for sentence in zygote.missing)
        forbidden = "open('/etc/passwd')" if part == "seccomp" else "os.fork()"
        assert "PermissionError" in python(zygote, forbidden).detail


def test_without_namespaces_the_network_is_still_out_of_reach() -> None:
    with Zygote(WARM, lacking=["namespaces"]) as zygote:
        outcome = python(zygote, "import socket; socket.socket()")
        assert "PermissionError" in outcome.detail
        assert any("network" in sentence for sentence in zygote.missing)


def test_a_pool_says_at_its_start_what_the_machine_lacks() -> None:
    with JailPool(1, WARM) as pool:
        said = pool.start()
        assert all(sentence and not sentence.endswith(".") for sentence in said)


def test_no_child_has_a_right_that_its_user_has() -> None:
    """Read where /proc is open: with seccomp but without Landlock."""
    with Zygote(WARM, lacking=["landlock"], unsafe=True) as zygote:
        output = python(zygote, STATUS).output
        assert output is not None
        permitted, effective, bounding, no_new, mode = re.findall(rb"'(\w+)'", output)
        assert {int(permitted, 16), int(effective, 16), int(bounding, 16)} == {0}
        assert (no_new, mode) == (b"1", b"2")


def test_threads_are_for_those_who_asked_for_them() -> None:
    program = (
        "import threading; t = threading.Thread(target=print); t.start(); t.join(); result = 1"
    )
    with Zygote(WARM) as zygote:
        assert "can't start new thread" in python(zygote, program).detail
    with Zygote(WARM, multithreaded=True) as zygote:
        assert python(zygote, program).output == b"1"
        assert "PermissionError" in python(zygote, "os.fork()").detail


@pytest.mark.parametrize("column", [0, 1])
def test_the_numbers_of_system_calls_are_those_of_the_kernel(column: int) -> None:
    if not HEADERS[column].exists():
        pytest.skip(f"{HEADERS[column]} is not installed")
    text = HEADERS[column].read_text()
    known = {name: int(n) for name, n in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\n", text)}
    known.setdefault("newfstatat", known.get("fstatat", -1))
    tables = syscalls.PLAIN | syscalls.THREADS | syscalls.GPU | syscalls.CLONE | syscalls.CLONE3
    tables |= {name: numbers for name, (numbers, _) in syscalls.ARGUMENTS.items()}
    ours = {name: row[column] for name, row in tables.items() if row[column] is not None}
    assert ours == {name: known.get(name) for name in ours}


def test_the_filter_is_built_for_both_processors_and_no_other() -> None:
    for machine in ("x86_64", "aarch64"):
        sizes = [len(built.code) for built in _filters(machine)]
        assert sizes == sorted(set(sizes))
        assert sizes[-1] // 8 < 256  # jumps are one byte
    assert seccomp.build(False, False, "riscv64") is None


def _filters(machine: str) -> list[seccomp.Filter]:
    kinds = [(False, False), (True, False), (True, True)]
    built = [seccomp.build(threads, gpu, machine) for threads, gpu in kinds]
    return [it for it in built if it is not None]


def test_the_read_list_never_holds_a_folder_in_which_packages_or_homes_lie() -> None:
    closed = [Path(path).resolve() for path in (os.path.expanduser("~"), "/tmp", "/proc", "/etc")]
    closed += [Path(confine.__file__).parents[2].resolve()]
    closed += [Path(readable.os.__file__).parent, Path(pytest.__file__).parents[1].resolve()]
    listed = [Path(path).resolve() for path in readable.read_list((), gpu=False)]
    for path in listed:
        assert not any(folder == path or path in folder.parents for folder in closed), path
    assert not any("sklearn" in path.name or "mnist1d" in path.name for path in listed)


def test_trusted_functions_may_share_a_child_for_so_many_jobs(keeper: Zygote) -> None:
    seen = [process_of(keeper) for _ in range(10)]
    assert len(set(seen[:5])) == 1
    assert len(set(seen)) == 2


@pytest.mark.parametrize(
    ("program", "killed"),
    [
        ("while True: pass", "cpu"),
        ("kept = bytearray(1 << 30)", "memory"),
        ("result = 'x' * (2 << 20)", "output"),
        ("os._exit(0)", "crash"),
        ("os.abort()", "crash"),
        ("raise ValueError('no')", "crash"),
        ("time.sleep(60)", "wall"),
    ],
)
def test_a_job_that_fails_in_a_shared_child_is_alone_with_it(
    keeper: Zygote, program: str, killed: str
) -> None:
    before = process_of(keeper)
    seconds = 3 if killed == "wall" else 30  # a busy machine gives a CPU second late
    limits = Limits(seconds=seconds, cpu_seconds=1, memory_mb=256, output_bytes=1 << 20)
    outcome = python(keeper, program, limits)
    assert (outcome.killed, outcome.output) == (killed, None)
    assert process_of(keeper) not in {None, before}
    assert "PermissionError" in python(keeper, "open('/etc/passwd')").detail


def test_each_job_of_a_shared_child_has_the_cpu_time_of_a_fresh_one(keeper: Zygote) -> None:
    limits = Limits(seconds=30, cpu_seconds=1, memory_mb=256)
    work = "end = time.process_time() + 0.8\nwhile time.process_time() < end: pass"
    assert [python(keeper, work, limits).killed for _ in range(3)] == [None] * 3


def test_large_jobs_pass_through_a_shared_child(keeper: Zygote) -> None:
    data = os.urandom(5_000_000)
    limits = Limits(seconds=20, cpu_seconds=5, memory_mb=256, output_bytes=len(data))
    for _ in range(2):
        assert keeper.run("tests.jail.entries:echo", data, limits).output == data
    smaller = Limits(seconds=20, cpu_seconds=5, memory_mb=256, output_bytes=len(data) - 1)
    assert keeper.run("tests.jail.entries:echo", data, smaller).killed == "output"


def test_closing_ends_a_shared_child(keeper: Zygote) -> None:
    with Zygote(WARM, reuse=5) as zygote:
        output = process_of(zygote)
        assert output is not None
    assert not Path(f"/proc/{int(output)}").exists()


def test_a_function_that_is_not_in_memory_yet_can_be_named_later(keeper: Zygote) -> None:
    assert keeper.run("tests.jail.entries:echo", b"1", LIMITS).output == b"1"
    assert keeper.run("json:loads", b"1", LIMITS).detail.startswith("TypeError")
