"""One warmed screener for all tests of the screen: starting its zygote takes seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from evoprompt.candidate import TaskShape
from evoprompt.config import ScreenSettings
from evoprompt.screen import Screener

SHAPE = TaskShape("test", (1, 40), 10)
SETTINGS = ScreenSettings(workers=1, seconds_limit=12.0, cpu_seconds=3, memory_mb=512)


@pytest.fixture(scope="session")
def screener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screener]:
    it = Screener(SETTINGS, SHAPE, tmp_path_factory.mktemp("run"))
    yield it
    it.close()


@pytest.fixture
def folder(screener: Screener) -> Path:
    return screener.run_folder
