"""A predictor as two files in a folder, `model.safetensors` and `config.json`, written whole.

The configuration names the SHA-256 of the weights, so that halves of two writings never meet. Only
safetensors and JSON are read: a pickle is refused by name.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from surrogate.encode import TEXT_VERSION
from surrogate.errors import SurrogateError, problem

FORMAT_VERSION = 2
WEIGHTS, CONFIG = "model.safetensors", "config.json"
PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
REMEDY = "Save it again, or leave the folder out to use the built-in predictor"


def write(folder: Path, tensors: dict[str, np.ndarray], config: dict[str, object]) -> None:
    """Write both files, each to a temporary name first; raises `SurrogateError` on a full disk."""
    content = save_tensors({name: np.ascontiguousarray(t) for name, t in tensors.items()})
    versions = {"format": FORMAT_VERSION, "text": TEXT_VERSION}
    full = {**versions, "weights": hashlib.sha256(content).hexdigest(), **config}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / WEIGHTS, content)
        _replace(folder / CONFIG, (json.dumps(full, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        what = f"the predictor cannot be written ({error.strerror})"
        message = problem(what, str(folder), "a folder with space", "Free some space")
        raise SurrogateError(message) from error


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(folder: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Return tensors and configuration; raises `SurrogateError` if it is no whole predictor."""
    config = _read_config(folder / CONFIG)
    path = folder / WEIGHTS
    content = _content(path)
    if content.startswith(PICKLE_STARTS):
        raise _bad("a pickle", path, "safetensors; pickles can run code and are never opened")
    if hashlib.sha256(content).hexdigest() != config["weights"]:
        what = "truncated, or not the weights that its configuration names"
        raise _bad(what, path, f"SHA-256 {config['weights'][:12]}...")
    try:
        return load_tensors(content), config
    except (SafetensorError, ValueError, KeyError) as error:
        raise _bad(f"not safetensors ({error})", path, "a whole safetensors file") from error


def _read_config(path: Path) -> dict:
    try:
        config = json.loads(_content(path))
    except ValueError as error:
        raise _bad("not JSON", path, "the configuration of a predictor") from error
    if not isinstance(config, dict) or not isinstance(config.get("weights"), str):
        raise _bad("not the configuration of a predictor", path, "a field 'weights'")
    for name, wanted in (("format", FORMAT_VERSION), ("text", TEXT_VERSION)):
        if config.get(name) != wanted:
            what = f"{name} version {config.get(name)}"
            raise _bad(what, path, f"version {wanted}, that of this program")
    return config


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _bad(f"not readable ({error.strerror})", path, "a predictor's folder") from error


def _bad(what: str, path: Path, expected: str) -> SurrogateError:
    return SurrogateError(problem(what, str(path), expected, REMEDY))
