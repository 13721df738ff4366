"""Settings as plain dictionaries and back: for config.json, for the ledger, and for TOML files.

Standard library only. A key that does not exist, or a value of another type, is refused with the
nearest key that does exist.
"""

import dataclasses
import difflib
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

from evoprompt.config import SearchSettings
from evoprompt.errors import ConfigError


def to_dict(settings: SearchSettings) -> dict[str, Any]:
    """Return the settings as JSON-ready nested dictionaries."""
    plain: dict[str, Any] = _plain(dataclasses.asdict(settings))
    return plain


def from_dict(data: dict[str, Any], base: SearchSettings, where: str) -> SearchSettings:
    """Return `base` with the given values put in.

    Raises:
        ConfigError: An unknown key or a value of the wrong type.
    """
    return _merge(base, data, where, "")


def read_toml(path: Path, base: SearchSettings) -> SearchSettings:
    """Return `base` overridden by a TOML file.

    Raises:
        ConfigError: The file is missing, is not TOML, or holds an unknown or ill-typed key.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"cannot read settings from {path}: {error}. Expected a TOML file such as "
            "'[budget]\\ngenerations = 3'. Correct the file or leave --config away."
        ) from error
    return from_dict(data, base, str(path))


def check(settings: SearchSettings) -> None:
    """Refuse numbers with which no search could run.

    Raises:
        ConfigError: Names the setting, its value and what is allowed.
    """
    archive, proposer = settings.archive, settings.proposer
    for name, (value, low, high) in _ranges(settings).items():
        if not low <= value <= high:
            raise ConfigError(
                f"--{name} is {value}; expected {low} to {high}. Change it and start again."
            )
    if settings.learn.method == "soft_prompt" and proposer.engine != "transformers":
        raise ConfigError(
            f"--learn.method is soft_prompt and --proposer.engine {proposer.engine}; a soft prompt "
            "cannot be merged, so only the transformers engine serves it. Take dpo or sft."
        )
    server, money = proposer.server, settings.budget.money
    if money is not None and not server.prompt_price + server.completion_price:
        raise ConfigError(
            f"--budget.money is {money}, but no token has a price; expected "
            "--proposer.server.prompt-price and .completion-price, for a million tokens. Set them, "
            "or take --budget.tokens."
        )
    if any(low >= high for low, high in zip(archive.low, archive.high, strict=True)):
        raise ConfigError(
            f"--archive.low {archive.low} is not below --archive.high {archive.high}; expected "
            "low < high on both axes. Change the setting and start again."
        )


def _ranges(settings: SearchSettings) -> dict[str, tuple[float, float, float]]:
    """Name of a setting -> its value and the least and greatest that it may have."""
    archive, choose, proposer = settings.archive, settings.choose, settings.proposer
    return {
        "train.recipe.steps": (settings.train.recipe.steps, 1, 10**9),
        "train.recipe.batch-size": (settings.train.recipe.batch_size, 2, 10**6),
        "train.workers": (settings.train.workers, 1, 512),
        "screen.workers": (settings.screen.workers, 1, 512),
        "proposer.prompts-per-round": (proposer.prompts_per_round, 1, 10**5),
        "proposer.samples-per-prompt": (proposer.samples_per_prompt, 1, 10**4),
        "proposer.cross-share": (proposer.cross_share, 0, 1),
        "proposer.repairs-per-round": (proposer.repairs_per_round, 0, 10**5),
        "proposer.top-p": (proposer.top_p, 1e-3, 1),
        "proposer.seconds-limit": (proposer.seconds_limit, 1, 10**6),
        "proposer.retries": (proposer.retries, 0, 100),
        "proposer.vllm.gpus": (proposer.vllm.gpus, 1, 64),
        "proposer.vllm.gpu-share": (proposer.vllm.gpu_share, 0.01, 1),
        "proposer.server.concurrent": (proposer.server.concurrent, 1, 1000),
        "proposer.server.per-minute": (proposer.server.per_minute or 1, 1, 10**6),
        "proposer.server.prompt-price": (proposer.server.prompt_price, 0, 10**6),
        "proposer.server.completion-price": (proposer.server.completion_price, 0, 10**6),
        "choose.trained-per-generation": (choose.trained_per_generation, 1, 10**5),
        "choose.reserve-share": (choose.reserve_share, 0, 1),
        "choose.min-rounds": (choose.min_rounds, 1, choose.max_rounds),
        "budget.generations": (settings.budget.generations, 0, 10**6),
        "learn.steps": (settings.learn.steps, 0, 10**6),
        "learn.batch-size": (settings.learn.batch_size, 1, 10**4),
        "learn.rank": (settings.learn.rank, 1, 10**4),
        "learn.replay": (settings.learn.replay, 0, 10**3),
        "learn.probe-prompts": (settings.learn.probe_prompts, 0, 10**5),
        "learn.gate-prompts": (settings.learn.gate_prompts, 0, 10**5),
        "learn.gate-samples": (settings.learn.gate_samples, 1, 10**4),
        "final.winners": (settings.final.winners, 1, 100),
        "final.seeds": (settings.final.seeds, 1, 100),
        "archive.cells": (min(archive.cells), 1, 10**4),
    }


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """Return ' Did you mean ...?' for a misspelt word, or an empty text."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        items = typing.cast(dict[str, Any], value).items()
        return {key: _plain(item) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in typing.cast(list[Any], value)]
    return str(value) if isinstance(value, Path) else value


def _merge(base: Any, data: dict[str, Any], where: str, prefix: str) -> Any:
    hints = typing.get_type_hints(type(base))
    changed: dict[str, Any] = {}
    for key, value in data.items():
        name = key.replace("-", "_")
        if name not in hints:
            known = ", ".join(sorted(hints))
            raise ConfigError(
                f"{where}: unknown setting {prefix + key!r}. Known here: {known}."
                f"{nearest(name, hints)} Correct the name and start again."
            )
        old = getattr(base, name)
        if dataclasses.is_dataclass(old):
            if not isinstance(value, dict):
                raise _ill_typed(where, prefix + key, value, "a table")
            table = typing.cast(dict[str, Any], value)
            changed[name] = _merge(old, table, where, f"{prefix}{key}.")
        else:
            changed[name] = _convert(value, hints[name], where, prefix + key)
    return dataclasses.replace(base, **changed)


def _convert(value: Any, hint: Any, where: str, name: str) -> Any:
    """Return the value as the type of its field, or refuse it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _convert(value, next(a for a in arguments if a is not type(None)), where, name)
    if origin is typing.Literal:
        if value in arguments:
            return value
        raise _ill_typed(where, name, value, "one of " + ", ".join(map(str, arguments)))
    if origin is tuple:
        if isinstance(value, (list, tuple)):
            items = typing.cast(list[Any], value)
            if len(items) == len(arguments):
                pairs = zip(items, arguments, strict=True)
                return tuple(_convert(item, each, where, name) for item, each in pairs)
        raise _ill_typed(where, name, value, f"{len(arguments)} values")
    return _convert_plain(value, hint, where, name)


def _convert_plain(value: Any, hint: Any, where: str, name: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise _ill_typed(where, name, value, hint.__name__)
    return value


def _ill_typed(where: str, name: str, value: Any, expected: str) -> ConfigError:
    return ConfigError(
        f"{where}: setting {name!r} is {value!r}; expected {expected}. Correct the value."
    )
