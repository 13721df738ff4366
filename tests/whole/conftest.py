"""One finished small search that the tests of this folder share; they copy what they change."""

import pytest

from evoprompt.config import smoke
from tests.whole.searching import run_search


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """(run folder, events) of the smoke preset, never killed, with report and best/."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    return folder, run_search(folder, smoke(), results=True)
