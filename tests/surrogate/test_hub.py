"""Other encoders: small random checkpoints with a tokenizer trained on the spot, all on disk."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from surrogate import hub
from surrogate.__main__ import main
from surrogate.data import Table
from surrogate.errors import SurrogateError
from surrogate.hub import HubEncoder
from surrogate.hub_training import fine_tune
from surrogate.score import Surrogate

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
POSITIONS = 66  # 64 tokens at once for RoBERTa, which counts from behind its padding


def text(width: int, layers: int = 1) -> str:
    lines = ["NET 1x40>10", f"Conv k3 1>{width} IN @{width}x40", f"Relu @{width}x40"]
    for _ in range(layers):
        lines += [f"Conv k3 {width}>{width} @{width}x40", f"Relu @{width}x40"]
    return "\n".join([*lines, f"ReduceMean a2 @{width}", f"Linear {width}>10 @10"])


def tokenizer() -> PreTrainedTokenizerFast:
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=SPECIAL, show_progress=False)
    trained.train_from_iterator([text(w, n) for w in range(4, 64) for n in (1, 2)], trainer)
    trained.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return PreTrainedTokenizerFast(
        tokenizer_object=trained,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
    )


SIZES = {
    "vocab_size": 200,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": POSITIONS,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("roberta")
    torch.manual_seed(0)
    RobertaModel(RobertaConfig(**SIZES)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def modernbert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modernbert")
    torch.manual_seed(0)
    config = ModernBertConfig(**SIZES, cls_token_id=0, sep_token_id=2)
    ModernBertModel(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def table() -> Table:
    shapes = [(width, layers) for width in range(4, 16) for layers in (1, 2, 3)]
    accuracies = tuple(0.5 + 0.05 * n + 0.004 * w for w, n in shapes)
    return Table(tuple(text(*shape) for shape in shapes), accuracies, None, None, None)


def write(table: Table, path: Path) -> Path:
    rows = [f'"{t}",{a}' for t, a in zip(table.texts, table.accuracies, strict=True)]
    path.write_text("\n".join(["text,accuracy", *rows]) + "\n")
    return path


@pytest.mark.parametrize("kind", ["roberta", "modernbert"])
def test_vectors_are_means_over_all_tokens_whatever_else_is_in_the_batch(
    kind: str, request: pytest.FixtureRequest
) -> None:
    encoder = HubEncoder.open(str(request.getfixturevalue(kind)))
    short = "NET 1x40>10\nLinear 40>10 IN @10"
    together = encoder.raw_vectors([short, text(9, 3), short])
    with torch.no_grad():
        asked = encoder.tokenizer(short, return_tensors="pt")
        states = encoder.model(asked["input_ids"]).last_hidden_state[0]
    np.testing.assert_allclose(together[0], states.mean(0).numpy(), atol=1e-5)
    np.testing.assert_allclose(together[0], together[2], atol=1e-6)


def test_a_long_text_is_read_in_windows_and_its_end_counts(roberta: Path) -> None:
    encoder = HubEncoder.open(str(roberta))
    assert encoder.window_length == 64
    long = text(9, 30)
    windows = encoder.windows([text(4), long])
    assert windows.owners_W.count(1) > 3
    assert max(map(len, windows.ids)) == 64
    plain = [token for ids in windows.ids[windows.owners_W.count(0) :] for token in ids]
    everything = encoder.tokenizer(long, add_special_tokens=False)["input_ids"]
    assert [token for token in plain if token not in (0, 2)] == everything
    changed = long.replace("Linear 9>10 @10", "Linear 9>12 @12")
    first, second = encoder.raw_vectors([long, changed])
    assert not np.allclose(first, second, atol=1e-7)
    assert "1 of 2 texts in one window, 1 in 2 to" in encoder.coverage([text(4), long])


def test_projected_vectors_have_total_variance_one(roberta: Path, table: Table) -> None:
    encoder = HubEncoder.open(str(roberta)).projected(table.texts)
    vectors = encoder.vectors(table.texts)
    assert vectors.var(0).sum() == pytest.approx(1.0)
    np.testing.assert_allclose(vectors.mean(0), 0, atol=1e-9)


def test_fit_score_and_move_with_an_encoder_of_ones_own(
    roberta: Path, table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "bert"
    shutil.copytree(roberta, place)
    labels, out = write(table, tmp_path / "table.csv"), tmp_path / "out"
    assert main(["fit", str(labels), "--encoder", str(place), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "reads 64 tokens at once" in printed
    assert "learned 36 labels" in printed
    assert not (out / hub.COPY).exists()
    assert main(["report", str(out)]) == 0
    before = hub.load(out).score(table.texts[:5])
    place.rename(tmp_path / "moved")
    with pytest.raises(SurrogateError, match="cannot be opened"):
        hub.load(out)
    after = hub.load(out, str(tmp_path / "moved")).score(table.texts[:5])
    for one, other in zip(before, after, strict=True):
        assert one.tobytes() == other.tobytes()


def test_another_encoder_than_the_one_it_learned_with_is_refused(
    roberta: Path, table: Table, tmp_path: Path
) -> None:
    encoder = HubEncoder.open(str(roberta)).projected(table.texts)
    fitted = Surrogate(encoder).fit(table.texts, table.accuracies)
    hub.save(fitted, tmp_path / "out")
    torch.manual_seed(1)
    RobertaModel(RobertaConfig(**SIZES)).save_pretrained(tmp_path / "other")
    encoder.tokenizer.save_pretrained(tmp_path / "other")
    with pytest.raises(SurrogateError, match="but the predictor learned with"):
        hub.load(tmp_path / "out", str(tmp_path / "other"))


def test_fine_tuning_learns_and_is_kept_in_the_folder(
    roberta: Path, table: Table, tmp_path: Path
) -> None:
    encoder = HubEncoder.open(str(roberta))
    before = encoder.raw_vectors(table.texts)
    found = fine_tune(encoder, table, steps=12)
    assert (found.is_first, found.process_count) == (True, 1)
    tuned = found.encoder
    assert tuned.digest != HubEncoder.open(str(roberta)).digest
    assert not np.allclose(before, tuned.raw_vectors(table.texts), atol=1e-3)
    fitted = Surrogate(tuned.projected(table.texts)).fit(table.texts, table.accuracies)
    hub.save(fitted, tmp_path / "out")
    assert (tmp_path / "out" / hub.COPY / "model.safetensors").is_file()
    loaded = hub.load(tmp_path / "out")
    assert loaded.version == fitted.version
    np.testing.assert_array_equal(loaded.score(table.texts)[0], fitted.score(table.texts)[0])


def test_two_processes_tune_together_and_one_writes(
    roberta: Path, table: Table, tmp_path: Path
) -> None:
    labels, out = write(table, tmp_path / "table.csv"), tmp_path / "out"
    launch = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    fit = ["surrogate", "fit", str(labels), "--out", str(out), "--encoder", str(roberta)]
    command = [sys.executable, "-m", *launch, "-m", *fit, "--fine-tune-encoder", "4"]
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "ACCELERATE_USE_CPU": "true"},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("learned 36 labels") == 1
    assert "2 processes" in run.stdout
    assert hub.load(out).label_count == 36


def spoil(folder: Path, case: str) -> None:
    if case == "pickle":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    if case == "truncated":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:500])
    if case == "missing":
        (folder / "model.safetensors").unlink()
    if case == "no tokenizer":
        for path in folder.glob("tokenizer*"):
            path.unlink()
    if case == "code":
        config = json.loads((folder / "config.json").read_text())
        config["model_type"] = "theirs"
        config["auto_map"] = {"AutoConfig": "theirs.Config", "AutoModel": "theirs.Model"}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "theirs.py").write_text("open('ran', 'w').write('!')\n")


@pytest.mark.parametrize("case", ["pickle", "truncated", "missing", "no tokenizer", "code"])
def test_a_spoiled_encoder_is_one_line_and_nothing_is_written(
    case: str,
    roberta: Path,
    table: Table,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(roberta, tmp_path / "spoiled")
    spoil(tmp_path / "spoiled", case)
    labels, out = write(table, tmp_path / "table.csv"), tmp_path / "out"
    fit = ["fit", str(labels), "--encoder", str(tmp_path / "spoiled"), "--out", str(out)]
    assert main(fit) == 2
    error = capsys.readouterr().err
    assert error.startswith("surrogate: encoder ")
    assert error.count("\n") == 1
    assert ("pickle" in error) == (case == "pickle")
    assert not out.exists()
    assert not (tmp_path / "ran").exists()
