"""`evoprompt search` and `evoprompt resume`: settings in, a run folder out."""

import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evoprompt.config import PRESETS, SearchSettings
from evoprompt.errors import ConfigError
from evoprompt.settings_file import check, nearest, read_toml

if TYPE_CHECKING:
    from evoprompt.steps.run import Run


@dataclass(frozen=True)
class SearchCommand(SearchSettings):
    """Search for architectures; every setting has a default that comes from the preset."""

    run: str = ""
    """Name of the run; its folder is runs/NAME."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    prompts: Path | None = None
    """Folder of templates; the checkout's prompts/ if not given."""
    config: Path | None = None
    """TOML file whose values stand between the preset's and the command line's."""


def run_search(given: list[str]) -> None:
    """Start a search."""
    folder, settings = parse(given)
    check(settings)
    from evoprompt.steps.opening import create
    from evoprompt.view.live import LiveView

    with LiveView() as watch:
        _carry_on(create(folder, settings, watch), folder)
    _show(folder)


def run_resume(folder: Path) -> None:
    """Go on with a search where its ledger ends."""
    from evoprompt.steps.opening import resume
    from evoprompt.view.live import LiveView

    with LiveView() as watch:
        _carry_on(resume(folder, watch), folder)
    _show(folder)


def _show(folder: Path) -> None:
    from rich.console import Console

    from evoprompt.view.terminal import show

    show(folder, Console())


def parse(given: list[str]) -> tuple[Path, SearchSettings]:
    """Return run folder and settings from the command line.

    Raises:
        ConfigError: Unknown preset, bad run name, bad TOML file.
        SystemExit: tyro prints what is wrong with a flag and exits with 2.
    """
    import tyro

    preset, flags = "mnist1d", given
    if given and not given[0].startswith("-"):
        preset, flags = given[0], given[1:]
    if preset not in PRESETS:
        raise ConfigError(
            f"unknown preset {preset!r}. Expected one of {', '.join(PRESETS)}."
            f"{nearest(preset, PRESETS)} evoprompt search {next(iter(PRESETS))} --run NAME"
        )
    base = PRESETS[preset]()
    config = _value_of(flags, "--config")
    if config:
        base = read_toml(Path(config), base)
    values = {field.name: getattr(base, field.name) for field in fields(base)}
    command = tyro.cli(
        SearchCommand,
        args=flags,
        default=SearchCommand(**values),
        prog=f"evoprompt search {preset}",
    )
    settings = SearchSettings(**{name: getattr(command, name) for name in values})
    if command.prompts is not None:
        settings = replace(settings, proposer=replace(settings.proposer, prompts=command.prompts))
    return command.runs / _checked_name(command.run), settings


def _checked_name(name: str) -> str:
    allowed = name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    if not name or not allowed or name.startswith("."):
        raise ConfigError(
            f"--run is {name!r}; expected a name of letters, digits, '-', '_' and '.'. "
            "For example: --run first"
        )
    return name


def _value_of(flags: list[str], flag: str) -> str | None:
    for position, word in enumerate(flags):
        if word.startswith(flag + "="):
            return word.split("=", 1)[1]
        if word == flag and position + 1 < len(flags):
            return flags[position + 1]
    return None


def _carry_on(run: "Run", folder: Path) -> None:
    from evoprompt.search import search
    from evoprompt.steps.finish import write_results

    try:
        search(run)
        write_results(run)
    except KeyboardInterrupt:
        print(
            f"evoprompt: stopped; nothing recorded is lost. Go on with: evoprompt resume {folder}",
            file=sys.stderr,
        )
        sys.exit(130)
    finally:
        run.close()
