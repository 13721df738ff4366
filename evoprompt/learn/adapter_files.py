"""Writing an adapter so that it is either whole or not there.

In: a peft model and the folder it should become. Out: that folder with adapter_model.safetensors,
adapter_config.json and base.json (the fingerprint of the base it fits). Everything is written to a
temporary folder, flushed and renamed. Not promised: that two writers at once get along.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

from peft import PeftModel

from evoprompt.errors import StorageError

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


def write_adapter(model: PeftModel, fingerprint: str, folder: Path) -> str:
    """Write the adapter, in place of an older one of this name; returns the SHA-256 of its weights.

    Raises:
        StorageError: the disk is full or not writable.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        model.save_pretrained(str(temporary), safe_serialization=True)
        (temporary / "README.md").unlink(missing_ok=True)
        _sort_config(temporary / CONFIG)
        (temporary / "base.json").write_text(json.dumps({"fingerprint": fingerprint}) + "\n")
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        digest = hashlib.sha256((temporary / WEIGHTS).read_bytes()).hexdigest()
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise StorageError(
            f"{folder}: the adapter cannot be written ({error}). Expected a writable folder with "
            "a few MB free. Make room, then run evoprompt resume."
        ) from error
    return digest


def _sort_config(path: Path) -> None:
    """Write the configuration in one order (peft writes sets) and without the base's place."""
    config = json.loads(path.read_text())
    for key, value in config.items():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            config[key] = sorted(value)
    config["base_model_name_or_path"] = None
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
