"""Hostile programs with the rules switched off: each is stopped or harmless, seen from outside.

After each of them no canary is changed, no server was visited, no process is left, the zygotes are
the same, and a good program gives the same graph and figures, byte for byte, as before them all.
What a program expects of itself: refused (it ran to its end and got nothing), killed (by a limit or
by a crash), contained (whatever it is), graph (it is screened as if it were good), forged and
bad_graph (trusted code rejects what it sent), good_graph, any_graph, rejected.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from evoprompt.jail import Outcome
from tests.hostile.attack import GOOD, Program, programs
from tests.hostile.jailed import LIMITS, PATIENT, Checked, Screen
from tests.hostile.targets import SECRET, SECRET_VALUE, Targets, twins

PROGRAMS = [it for it in programs() if not it.expect.startswith("train")]


@dataclass
class World:
    """The jails, what they guard, and what is true as long as nothing got out."""

    screen: Screen
    targets: Targets
    canaries: dict[str, object]
    zygotes: list[int | None]
    good: Outcome
    figures: Checked

    def assert_untouched(self) -> None:
        assert self.targets.visitors() == 0
        assert self.targets.state() == self.canaries
        screen = self.screen
        assert [screen.recorder.process_id, screen.checker.process_id] == self.zygotes
        zygote = screen.recorder.process_id
        assert zygote is not None
        assert twins(zygote) == [zygote]
        again = screen.record(GOOD)
        assert again.output == self.good.output
        assert screen.check(again) == self.figures


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    os.environ[SECRET] = SECRET_VALUE
    with Targets(tmp_path_factory.mktemp("hostile")) as targets, Screen() as screen:
        good = screen.record(GOOD)
        figures = screen.check(good)
        assert figures.figures["parameters"] == 15
        zygotes = [screen.recorder.process_id, screen.checker.process_id]
        yield World(screen, targets, targets.state(), zygotes, good, figures)
    del os.environ[SECRET]


def is_as_expected(program: Program, outcome: Outcome, checked: Checked, good: Checked) -> bool:
    match program.expect:
        case "refused":
            found = re.search(r"GOT \[\] REFUSED (\d+)", checked.why)
            return found is not None and int(found[1]) >= max(1, program.attempts())
        case "killed":
            return outcome.killed is not None
        case "graph":
            return checked == good
        case "good_graph":
            return outcome.killed is None and checked.figures.get("parameters") == 12
        case "bad_graph" | "forged":
            return outcome.killed is None and not checked.figures
        case "rejected":
            return not checked.figures
    return program.expect in {"contained", "any_graph"}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda it: it.name)
def test_a_hostile_program_is_stopped_or_harmless(program: Program, world: World) -> None:
    limits = LIMITS if program.expect in {"killed", "contained"} else PATIENT
    outcome = world.screen.record(program.source(world.targets.names), limits)
    checked = world.screen.check(outcome)
    assert "GOT" not in checked.why.replace("GOT []", "")
    assert is_as_expected(program, outcome, checked, world.figures), (outcome, checked)
    world.assert_untouched()


@pytest.mark.parametrize(
    "program", [it for it in PROGRAMS if it.is_control], ids=lambda it: it.name
)
def test_the_same_program_does_its_damage_where_there_is_no_jail(
    program: Program, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Targets(tmp_path_factory.mktemp("control")) as targets:
        before = targets.state()
        source = program.source(targets.names)
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
        assert re.search(r"GOT \[.*try_.*\] REFUSED 0", done.stderr), done.stderr[-500:]
        is_visit = "socket" in program.name or "server" in program.name
        assert targets.visitors() == is_visit
        assert (targets.state() != before) == (program.name == "write_one_file")


def test_programs_that_only_read_show_a_hole_where_there_is_one(tmp_path: Path) -> None:
    readers = ("read_canary", "read_repository", "read_home", "proc_self", "evade_getattr")
    with Targets(tmp_path) as targets, Screen(lacking=["landlock"]) as screen:
        for program in PROGRAMS:
            if program.name in readers:
                said = screen.check(screen.record(program.source(targets.names))).why
                assert re.search(r"GOT \['try_", said), (program.name, said)


def test_every_program_says_what_it_tries_and_there_are_enough_of_them() -> None:
    found = programs()
    assert len(found) >= 60
    assert all(it.says.endswith(".") and "\n" not in it.says for it in found)
    assert len({it.says for it in found}) == len(found)
