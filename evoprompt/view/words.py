"""Text and numbers as people read them: cleaned of control characters, with units, aligned.

Everything that a language model or a candidate wrote goes through `clean` before it is shown;
escaping for HTML or for rich is the business of the place that shows it.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from evoprompt.config import PRESETS
from evoprompt.view.records import Audit, Candidate

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[ -/]*[0-~])", re.DOTALL
)
# C0 and C1 controls but tab and line feed, bidirectional overrides, lone surrogates
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def clean(text: object) -> str:
    """Return text without terminal escapes, control characters and direction overrides."""
    return _CONTROLS.sub("\ufffd", _ESCAPES.sub("", str(text).replace("\r\n", "\n")))


def line(text: object, limit: int = 120) -> str:
    """Return cleaned text on one line, cut to a length."""
    short = " ".join(clean(str(text)[: 4 * limit]).split())
    return short if len(short) <= limit else short[: limit - 1] + "\u2026"


def percent(value: float | None, digits: int = 1) -> str:
    """0.9312 -> 93.1 %."""
    return "\u2013" if value is None else f"{100 * value:.{digits}f}\u202f%"


def points(value: float | None, digits: int = 2) -> str:
    """A difference of accuracies in percentage points, always with its sign."""
    return "\u2013" if value is None else f"{100 * value:+.{digits}f}".replace("-", "\u2212")


def tau(value: float | None) -> str:
    """A rank correlation with its sign."""
    return "\u2013" if value is None else f"{value:+.2f}".replace("-", "\u2212")


def count(value: float | None) -> str:
    """12345 -> 12,345."""
    return "\u2013" if value is None else f"{value:,.0f}"


def short_count(value: float | None) -> str:
    """12345 -> 12.3k."""
    if value is None:
        return "\u2013"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def share(part: int, whole: int) -> str:
    """3 of 4 -> 75 %."""
    return f"{100 * part / whole:.0f}\u202f%" if whole else "\u2013"


def duration(seconds: float | None) -> str:
    """75 -> 1 min 15 s."""
    if seconds is None:
        return "\u2013"
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def held(audit: Audit) -> str:
    """How many results lay inside the interval that was recorded; empty where none was."""
    if not audit.interval_count:
        return ""
    words = f"90 % intervals held {audit.held_count} of {audit.interval_count} results"
    if audit.interval_count_reserve:
        words += f", by lot {audit.held_count_reserve} of {audit.interval_count_reserve}"
    return words


def moment(seconds: object) -> str:
    """A Unix time as UTC date and minute."""
    if not isinstance(seconds, int | float) or not 0 <= seconds < 4e9:
        return "\u2013"
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def origin(candidate: Candidate) -> str:
    """How a candidate came about: a seed's name, or operator and generation."""
    if candidate.is_seed:
        return f"seed {clean(candidate.name or '')}".strip()
    return f"{clean(candidate.operator)}, generation {candidate.generation}"


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted names in their order."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            nested = cast("Mapping[str, Any]", value)
            flat.update(flatten(nested, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def search_command(settings: Mapping[str, Any], run: str) -> str:
    """Return the `evoprompt search` that repeats settings: the nearest preset and its changes."""
    wanted = flatten(settings)
    changes = {
        name: _changes(wanted, flatten(asdict(preset()))) for name, preset in PRESETS.items()
    }
    nearest = min(changes, key=lambda name: len(changes[name]))
    flags = [f"--{name.replace('_', '-')} {_flag(value)}" for name, value in changes[nearest]]
    return " ".join(["evoprompt search", nearest, "--run", run, *flags])


def _changes(wanted: Mapping[str, Any], preset: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        (name, value)
        for name, value in wanted.items()
        if name in preset and _plain(value) != _plain(preset[name])
    ]


def _plain(value: object) -> object:
    if isinstance(value, list | tuple):
        return list(cast("list[object]", value))
    return str(value) if isinstance(value, Path) else value


def _flag(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(_flag(part) for part in cast("list[object]", value))
    text = clean(value)
    return text if re.fullmatch(r"[\w./:+-]+", text) else "'" + text.replace("'", "'\\''") + "'"
