"""`python -m surrogate`: what each command prints; a mistake is one line and exit code 2."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from surrogate.__main__ import main
from surrogate.encode import read
from tests.surrogate.nets import ReferenceCnn, Residual, export


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("nets")
    rows = ["path,accuracy"]
    for width in range(4, 12):
        (place / f"cnn{width}.onnx").write_bytes(export(ReferenceCnn(width)))
        rows.append(f"cnn{width}.onnx,{0.5 + width / 40}")
    (place / "residual.onnx").write_bytes(export(Residual()))
    (place / "table.csv").write_text("\n".join(rows) + "\n")
    return place


def test_score_without_labels_says_that_it_is_only_the_prior(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(folder / f"cnn{width}.onnx") for width in (4, 11, 8)]
    assert main(["score", *files]) == 0
    printed = capsys.readouterr().out
    ranked = [line.split()[-1].split("/")[-1] for line in printed.splitlines()[1:4]]
    assert ranked == ["cnn11.onnx", "cnn8.onnx", "cnn4.onnx"]
    assert "the score is only the prior" in printed


def test_fit_then_score_ranks_by_the_labels(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", str(folder / "table.csv"), "--out", str(tmp_path / "v1")]) == 0
    assert "learned 8 labels" in capsys.readouterr().out
    files = [str(folder / "cnn4.onnx"), str(folder / "cnn11.onnx"), str(folder / "residual.onnx")]
    assert main(["score", *files, "--model", str(tmp_path / "v1")]) == 0
    printed = capsys.readouterr().out
    assert printed.index("cnn11.onnx") < printed.index("cnn4.onnx")
    assert "8 labels" in printed


def test_encode_prints_text_and_hash(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", str(folder / "residual.onnx")]) == 0
    graph = read(folder / "residual.onnx")
    printed = capsys.readouterr().out
    assert printed.startswith(graph.text + "\n")
    assert graph.hash in printed


def test_pretrain_writes_a_predictor(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = read(folder / "residual.onnx").text
    rows = [json.dumps({"text": text.replace("8", str(width))}) for width in range(10, 120)]
    (tmp_path / "texts.jsonl").write_text("\n".join(rows))
    out = tmp_path / "encoder"
    command = ["pretrain", str(tmp_path / "texts.jsonl"), "--minutes", "0.01", "--out", str(out)]
    assert main(command) == 0
    assert main(["score", str(folder / "residual.onnx"), "--model", str(out)]) == 0


BAD_TABLES = {
    "path,label\na.onnx,0.5\n": "columns",
    "path,accuracy\ncnn4.onnx,high\n": "row 2: accuracy 'high'",
    "path,accuracy\ncnn4.onnx,nan\n": "row 2: accuracy 'nan'",
    "path,accuracy\ncnn4.onnx,0.5\ncnn5.onnx,71.0\n": "row 3: accuracy '71.0'",
    "path,accuracy\ncnn4.onnx,0.5\ncnn5.onnx,0.5\n": "all accuracies are the same",
    "path,accuracy\nnone.onnx,0.5\ncnn5.onnx,0.6\n": "no such file",
    "": "columns nothing",
}


@pytest.mark.parametrize("content", BAD_TABLES)
def test_a_bad_table_is_one_line_and_nothing_is_written(
    content: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = folder / "bad.csv"
    table.write_text(content)
    assert main(["fit", str(table), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert BAD_TABLES[content] in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["{}", "no json", '{"text": 3'])
def test_a_bad_corpus_is_one_line(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "texts.jsonl").write_text(content)
    command = ["pretrain", str(tmp_path / "texts.jsonl"), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "line 1" in capsys.readouterr().err


def test_a_bad_file_ends_the_real_command_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not onnx at all")
    command = [sys.executable, "-m", "surrogate", "score", str(tmp_path / "bad.onnx")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.startswith("surrogate: ")
    assert run.stderr.count("\n") == 1
