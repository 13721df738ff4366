"""Every kind of bad program is rejected for the right reason, and the screen goes on.

All of them go through one screener in one call, with good programs in between.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from evoprompt.candidate import Rejected, Screened
from evoprompt.screen import Screener, prepare
from tests.screen.bad_programs import BAD, GOOD, HARMLESS
from tests.screen.conftest import SETTINGS, SHAPE

LIMITS = replace(SETTINGS, workers=2, seconds_limit=4.0, cpu_seconds=2, memory_mb=1024)
EVERY = 10  # bad programs between two good ones


def good(number: int) -> str:
    """A good program that no other one is equal to."""
    return f"{GOOD}# program {number}\n"


@dataclass(frozen=True)
class Seen:
    """What became of all programs."""

    bad: dict[str, Rejected | Screened]
    good: list[Rejected | Screened]
    harmless: dict[str, Rejected | Screened]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    sources = [bad.source for bad in BAD.values()]
    between = [good(number) for number in range(len(sources) // EVERY)]
    for number, source in enumerate(between):
        sources.insert((number + 1) * (EVERY + 1) - 1, source)
    sources += HARMLESS.values()
    screener = Screener(LIMITS, SHAPE, tmp_path_factory.mktemp("run"))
    try:
        verdicts = dict(zip(sources, screener.screen_all(sources), strict=True))
    finally:
        screener.close()
    return Seen(
        {name: verdicts[bad.source] for name, bad in BAD.items()},
        [verdicts[source] for source in between],
        {name: verdicts[source] for name, source in HARMLESS.items()},
    )


@pytest.mark.parametrize("name", BAD)
def test_a_bad_program_is_rejected_for_the_right_reason(seen: Seen, name: str) -> None:
    verdict, bad = seen.bad[name], BAD[name]
    assert isinstance(verdict, Rejected)
    assert verdict.reason in bad.reasons, verdict
    assert bad.quotes in verdict.detail
    assert len(verdict.detail) <= 500


def test_good_programs_among_the_bad_ones_are_screened(seen: Seen) -> None:
    assert len(seen.good) == len(BAD) // EVERY
    assert all(isinstance(verdict, Screened) for verdict in seen.good), seen.good


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_bad_is_screened(seen: Seen, name: str) -> None:
    assert isinstance(seen.harmless[name], Screened), seen.harmless[name]


@pytest.mark.parametrize("name", BAD)
def test_the_rules_alone_never_raise(name: str) -> None:
    assert prepare(BAD[name].source) == prepare(BAD[name].source)


def test_nothing_is_left_in_the_folder_but_graphs(seen: Seen, tmp_path: Path) -> None:
    screener = Screener(replace(LIMITS, workers=1), SHAPE, tmp_path)
    try:
        verdicts = screener.screen_all([BAD["returns NaN"].source, GOOD])
    finally:
        screener.close()
    assert isinstance(verdicts[1], Screened)
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert [str(path) for path in files] == [verdicts[1].graph_path]
