import pytest

from evoprompt.archive import Archive
from evoprompt.archive.frontier import gaps, sizes
from evoprompt.config import ArchiveSettings

SIZES = (
    (("log_parameters", "log_intensity"), (2.0, -0.5), (6.0, 2.5)),
    (("log_parameters", "log_macs"), (2.0, 3.0), (6.0, 8.0)),
    (("log_intensity", "log_macs"), (-0.5, 3.0), (2.5, 8.0)),
)
NO_LIMIT = 10**12


def settings_of(axes, low, high):
    return ArchiveSettings(axes=axes, cells=(6, 5), low=low, high=high)


@pytest.mark.parametrize(("axes", "low", "high"), SIZES)
def test_a_network_of_a_cells_sizes_lies_in_the_cell(axes, low, high):
    settings = settings_of(axes, low, high)
    archive = Archive(settings)
    for row in range(6):
        for column in range(5):
            parameters, macs = sizes((row, column), settings)
            assert archive.locate(parameters, macs, 3) == ((row, column), False)


def test_an_axis_of_depth_leaves_a_size_open():
    settings = ArchiveSettings(axes=("log_parameters", "depth"), low=(2.0, 0.0), high=(6.0, 20.0))
    parameters, macs = sizes((0, 0), settings)
    assert parameters is not None
    assert macs is None


def test_gaps_are_the_empty_cells_around_the_elites_and_know_them():
    settings = settings_of(*SIZES[1])
    archive = Archive(settings)
    assert gaps(archive, settings, NO_LIMIT, NO_LIMIT) == []
    for name, cell in (("corner", (0, 0)), ("beside", (1, 0))):
        archive.add(name, 0.9, *sizes(cell, settings), 3)
    found = gaps(archive, settings, NO_LIMIT, NO_LIMIT)
    assert [gap.cell for gap in found] == [(0, 1), (1, 1), (2, 0), (2, 1)]
    assert [e.candidate for e in found[0].neighbours] == ["corner", "beside"]
    assert [e.candidate for e in found[2].neighbours] == ["beside"]


def test_cells_over_the_limits_of_the_screen_are_not_asked_for():
    settings = settings_of(*SIZES[1])
    archive = Archive(settings)
    archive.add("one", 0.9, *sizes((2, 2), settings), 3)
    _, macs = sizes((2, 2), settings)
    found = gaps(archive, settings, NO_LIMIT, macs)
    assert found
    assert all(gap.cell[1] <= 2 for gap in found)
