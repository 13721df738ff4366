import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from evoprompt.config import ProposerSettings
from evoprompt.errors import ModelError
from evoprompt.propose import model_files
from evoprompt.propose.engine import open_engine
from evoprompt.propose.model_files import fingerprint


@pytest.fixture
def folder(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "model")


def refused(model, *words):
    with pytest.raises(ModelError) as caught:
        open_engine(ProposerSettings(model=str(model), threads=1))
    message = str(caught.value)
    for word in ("Expected", *words):
        assert word in message, message


def test_a_missing_folder_is_refused(tmp_path):
    refused(tmp_path / "nowhere", "no such folder", "--proposer.model")


def test_a_hub_id_that_cannot_be_fetched_is_refused(monkeypatch):
    import huggingface_hub

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    refused("someone/some-model", "someone/some-model", "no network")


def test_from_the_hub_no_pickle_is_ever_fetched():
    from fnmatch import fnmatch

    for name in ("pytorch_model.bin", "model.pt", "modeling_x.py", "x.pkl"):
        assert not any(fnmatch(name, pattern) for pattern in model_files.FETCHED)


def test_a_file_instead_of_a_folder_is_refused(folder):
    refused(folder / "config.json", "this is a file")


def test_pickled_weights_are_refused_and_never_read(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04would run code")
    refused(folder, "pytorch_model.bin", "pickled", "save_pretrained")


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    refused(folder, "no weights")


@pytest.mark.parametrize("length", [0, 5, 300, -1])
def test_truncated_weights_are_refused(folder, length):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:length])
    refused(folder, "model.safetensors", "again")


def test_a_missing_shard_is_refused(folder):
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, "1 of 2 weight files", "model-00002.safetensors")


def test_a_missing_tensor_is_refused(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, "1 tensors are missing", "model.norm.weight")


def test_a_folder_without_tokenizer_is_refused(folder):
    (folder / "tokenizer.json").unlink()
    refused(folder, "no tokenizer.json")


def test_a_damaged_tokenizer_or_configuration_is_refused(folder):
    good = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(good[: len(good) // 2])
    refused(folder, "the tokenizer does not load")
    (folder / "tokenizer.json").write_text(good)
    (folder / "config.json").write_text("{")
    refused(folder, str(folder))


def test_code_in_a_model_folder_is_never_run(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('ran')\n")
    refused(folder, str(folder))


def test_the_fingerprint_changes_with_the_weights_only(folder):
    before = fingerprint(folder)
    (folder / "notes.txt").write_text("x")
    assert fingerprint(folder) == before
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"] + 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert fingerprint(folder) != before


def test_large_files_are_fingerprinted_in_slices(folder, monkeypatch):
    monkeypatch.setattr(model_files, "WHOLE_LIMIT", 1000)
    monkeypatch.setattr(model_files, "SLICE", 100)
    before = fingerprint(folder)
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert fingerprint(folder) != before
    assert torch.is_tensor(load_file(weights)["model.norm.weight"])
