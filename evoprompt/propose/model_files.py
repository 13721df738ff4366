"""The files of a language model before anything reads them: found, checked, fingerprinted.

In: "builtin", a folder or a hub id; or the folder of an adapter. Out: a local folder with sound
safetensors, a configuration and a tokenizer, or a `ModelError` that says what to do.
Weights are data: pickled ones are refused, and from the hub they are not even fetched.
Not promised: that the model is any good, or that transformers knows its architecture.
"""

import hashlib
import json
import re
from pathlib import Path

from evoprompt.errors import ModelError

BUILTIN = Path(__file__).parent / "builtin"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
FETCHED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "tekken.json")
ADAPTER_WEIGHTS = "adapter_model.safetensors"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
HEADER_LIMIT = 100_000_000  # bytes; the limit of the safetensors library itself
WHOLE_LIMIT = 256 * 2**20  # larger files are fingerprinted by header and slices
SLICE = 2**20


def base_folder(model: str) -> Path:
    """The local folder of a base model, with its files checked; a hub id is fetched first.

    Raises:
        ModelError: missing, incomplete, truncated or pickled.
    """
    folder = BUILTIN if model == "builtin" else Path(model).expanduser()
    if folder.is_file():
        raise ModelError(
            f"{folder}: this is a file. Expected a folder with config.json, tokenizer and "
            "*.safetensors. Name the folder with --proposer.model."
        )
    if not folder.is_dir():
        folder = _fetched(model)
    _check_weights(folder)
    for name in ("config.json", TOKENIZER_FILES):
        names = (name,) if isinstance(name, str) else name
        if not any((folder / each).is_file() for each in names):
            raise ModelError(
                f"{folder}: no {names[0]}. Expected a complete model folder (config.json, "
                "tokenizer, *.safetensors). Save it again with tokenizer.save_pretrained and "
                "model.save_pretrained."
            )
    return folder


def check_adapter(adapter: Path, expected: str) -> None:
    """Check an adapter's files and that it was trained on the base with this fingerprint.

    Raises:
        ModelError: missing, truncated, pickled, or of another base.
    """
    if not adapter.is_dir() or not (adapter / "adapter_config.json").is_file():
        raise ModelError(
            f"{adapter}: no adapter here. Expected a folder with adapter_config.json and "
            f"{ADAPTER_WEIGHTS}. Name a version under the run's proposer/ folder."
        )
    _check_weights(adapter)
    if not (adapter / ADAPTER_WEIGHTS).is_file():
        raise ModelError(f"{adapter}: no {ADAPTER_WEIGHTS}. Expected LoRA weights. Tune again.")
    try:
        trained_on = json.loads((adapter / "base.json").read_text())["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{adapter / 'base.json'}: unreadable ({error}). Expected the fingerprint of the base "
            "model. Take an adapter that this project tuned."
        ) from error
    if trained_on != expected:
        raise ModelError(
            f"{adapter}: tuned on another base model (fingerprint {str(trained_on)[:12]}). "
            f"Expected {expected[:12]}. Set --proposer.model to the model the adapter was tuned on."
        )


def fingerprint(folder: Path) -> str:
    """SHA-256 (hex) over the weight files: whole, or header and 64 slices for files over 256 MB."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            if size <= WHOLE_LIMIT:
                digest.update(file.read())
                continue
            for place in range(64):
                file.seek(place * (size - SLICE) // 63)
                digest.update(file.read(SLICE))
    return digest.hexdigest()


def adapter_fingerprint(adapter: Path) -> str:
    """SHA-256 (hex) of a checked adapter's weights: what tells two versions apart."""
    return hashlib.sha256((adapter / ADAPTER_WEIGHTS).read_bytes()).hexdigest()


def check_safetensors(path: Path) -> None:
    """Compare a safetensors file's length with what its header says; raises ModelError."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= min(size, HEADER_LIMIT):
                raise ValueError("no header")
            header = json.loads(file.read(length))
        ends = [e["data_offsets"][1] for n, e in header.items() if n != "__metadata__"]
        expected = 8 + length + max(ends, default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(
            f"{path}: not a whole safetensors file ({error}). Expected a header and the tensors "
            "it names. Copy or download the file again."
        ) from error
    if size != expected:
        raise ModelError(
            f"{path}: {size} bytes, truncated or damaged. Expected {expected} bytes by its own "
            "header. Copy or download the file again."
        )


def _check_weights(folder: Path) -> None:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
        if pickled:
            raise ModelError(
                f"{folder / pickled[0]}: pickled weights are refused, they can run code. Expected "
                "*.safetensors. Convert them where you trust them: "
                "model.save_pretrained(folder) writes safetensors."
            )
        raise ModelError(
            f"{folder}: no weights. Expected *.safetensors. Copy the complete model folder."
        )
    for path in files:
        check_safetensors(path)
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        _check_index(index)


def _check_index(index: Path) -> None:
    try:
        named = set(json.loads(index.read_text())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{index}: unreadable ({error}). Expected a weight_map. Copy the file again."
        ) from error
    missing = sorted(str(name) for name in named if not (index.parent / str(name)).is_file())
    if missing:
        raise ModelError(
            f"{index.parent}: {len(missing)} of {len(named)} weight files are missing, first "
            f"{missing[0]}. Expected all of the index. Download the model again."
        )


def _fetched(model: str) -> Path:
    """The folder of a hub id in the local cache, fetched if need be."""
    if not HUB_ID.fullmatch(model):
        raise ModelError(
            f"{model}: no such folder. Expected 'builtin', a folder or a hub id such as "
            "Qwen/Qwen2.5-Coder-0.5B-Instruct. Correct --proposer.model."
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, allow_patterns=FETCHED))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error)
        raise ModelError(
            f"{model}: no such folder, and the hub did not deliver it ({first_line}). Expected "
            "'builtin', a folder or a hub id. Correct --proposer.model or check the network."
        ) from error
