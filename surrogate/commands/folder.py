"""Predictors as folders: opened by name, written whole or not at all."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from surrogate.errors import SurrogateError, problem

if TYPE_CHECKING:
    from surrogate.score import Surrogate


def open_predictor(folder: Path | None, encoder: str | None = None) -> "Surrogate":
    """Open a folder, or the built-in predictor; `encoder` says where a hub encoder lies now."""
    import torch

    from surrogate import hub
    from surrogate.score import Surrogate

    if folder is not None and (folder / hub.DESCRIPTION).is_file():
        return hub.load(folder, encoder)
    if encoder is not None:
        what = "this predictor does not use an encoder of Hugging Face"
        expected, action = "one that was fitted with --encoder", "Leave --encoder out, or fit again"
        raise SurrogateError(problem(what, str(folder or "built in"), expected, action))
    # The encoders are small: a second thread costs more than it brings.
    torch.set_num_threads(1)
    return Surrogate.load(folder)


def check_target(folder: Path) -> None:
    """Refuse a folder that holds something else; raises `SurrogateError`."""
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / "config.json").is_file():
        expected = "a new folder, or one with a predictor to replace"
        action = "Choose another --out"
        raise SurrogateError(problem("not a predictor's folder", str(folder), expected, action))


def save_whole(surrogate: "Surrogate", folder: Path) -> None:
    """Write to a temporary folder beside the target, then take its place."""
    from surrogate import hub

    check_target(folder)
    parent = folder.absolute().parent
    new, old = (parent / f".{folder.name}.{os.getpid()}.{word}" for word in ("new", "old"))
    try:
        parent.mkdir(parents=True, exist_ok=True)
        if isinstance(surrogate.base, hub.HubEncoder):
            hub.save(surrogate, new)
        else:
            surrogate.save(new)
        _take_place(new, folder, old)
    except OSError as error:
        what = f"the predictor cannot be written ({error.strerror})"
        action = "Check rights and free space"
        raise SurrogateError(problem(what, str(folder), "a folder to write to", action)) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _take_place(new: Path, folder: Path, old: Path) -> None:
    if not folder.exists():
        new.rename(folder)
        return
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
