"""Each case of the battery is recorded and right, or refused by name; never silently wrong."""

import pytest

from evoprompt.screen.recorder import BatchDependentError, UnsupportedError, record
from tests.recorder.battery import BATTERY
from tests.recorder.case import Case, example, seeded
from tests.recorder.compare import check_graph

pytestmark = pytest.mark.filterwarnings("ignore")
"""Warnings of the nets would count as the recorder's, from whose frames they come."""

RECORDED = [case for case in BATTERY if not case.refused]
REFUSED = [case for case in BATTERY if case.refused]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case.name)
def test_a_module_is_recorded_and_the_graph_gives_its_answer(case: Case) -> None:
    net = seeded(case)
    recording = record(net, lambda batch: (example(case, batch),))
    check_graph(net, recording.model, lambda batch: (example(case, batch),), 1, 2, 3)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_a_graph_cannot_hold_is_refused_by_name(case: Case) -> None:
    net = seeded(case)
    with pytest.raises((UnsupportedError, BatchDependentError)) as refusal:
        record(net, lambda batch: (example(case, batch),))
    assert case.refused in str(refusal.value)


def test_the_battery_is_wide_and_its_names_are_distinct() -> None:
    assert len({case.name for case in BATTERY}) == len(BATTERY)
    assert len(BATTERY) >= 500
