"""Tables of labelled networks: what is read from them, and one message for each mistake."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from surrogate.data import Columns, read_corpus, read_table
from surrogate.encode import TEXT_VERSION, read
from surrogate.errors import SurrogateError
from tests.surrogate.nets import ReferenceCnn, export

TEXT = "NET 1x40>10\nConv k3 1>8 IN @8x40\nRelu @8x40\nReduceMean a2 @8\nLinear 8>10 @10"


def quoted(text: str) -> str:
    return f'"{text}"'


def table(folder: Path, *rows: str, name: str = "table.csv") -> Path:
    (folder / name).write_text("\n".join(rows) + "\n")
    return folder / name


def test_a_csv_of_texts_keeps_rows_tasks_fidelities_and_origins(tmp_path: Path) -> None:
    wide = TEXT.replace("8", "16")
    path = table(
        tmp_path,
        "text,accuracy,task,fidelity,space",
        f"{quoted(TEXT)},0.5,digits,10,ours",
        f"{quoted(wide)},0.75,mnist1d,300,theirs",
        f"{quoted(TEXT)},0.52,digits,10,ours",
    )
    found = read_table(path)
    assert found.texts == (TEXT, wide, TEXT)
    assert found.accuracies == (0.5, 0.75, 0.52)
    assert found.tasks == ("digits", "mnist1d", "digits")
    assert found.fidelities == (10.0, 300.0, 10.0)
    assert found.origins == ("ours", "theirs", "ours")


def test_the_task_of_a_row_stands_in_the_text_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "a.onnx").write_bytes(export(ReferenceCnn(4)))
    path = table(tmp_path, "path,score,where", "nets/a.onnx,0.5,digits", "nets/a.onnx,0.6,mnist1d")
    found = read_table(path, Columns(label="score", task="where"))
    assert found.texts[0] == read(tmp_path / "nets" / "a.onnx", "digits").text
    assert "task=mnist1d" in found.texts[1].split("\n")[0]


def test_parquet_and_compressed_csv_say_the_same(tmp_path: Path) -> None:
    rows = {"text": [TEXT, TEXT], "accuracy": [0.25, 0.5]}
    parquet.write_table(pyarrow.table(rows), tmp_path / "table.parquet")
    lines = "\n".join(["text,accuracy", f"{quoted(TEXT)},0.25", f"{quoted(TEXT)},0.5"])
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress(lines.encode()))
    first, second = (read_table(tmp_path / f"table.{kind}") for kind in ("parquet", "csv.gz"))
    assert first == second
    assert first.tasks is first.fidelities is first.origins is None


def test_a_text_longer_than_the_csv_module_allows_is_read(tmp_path: Path) -> None:
    rows = [f"Conv k3 {i}>{i + 1} @{i + 1}x40" for i in range(1, 6000)]
    text = "\n".join(["NET 1x40>10", *rows, "ReduceMean a2 @6000", "Linear 6000>10 @10"])
    path = table(tmp_path, "text,accuracy", f"{quoted(text)},0.1", f"{quoted(TEXT)},0.2")
    assert read_table(path).texts[0] == text


BAD = {
    ("text,label", f"{quoted(TEXT)},0.5"): "no column 'accuracy' among: label, text",
    ("name,accuracy", "a,0.5"): "no column 'path' among: accuracy, name",
    ("text,accuracy", f"{quoted(TEXT)},high"): "row 2: label 'high'",
    ("text,accuracy", f"{quoted(TEXT)},"): "row 2: label ''",
    ("text,accuracy", f"{quoted(TEXT)},0.5", f"{quoted(TEXT)},nan"): "row 3: label 'nan'",
    ("text,accuracy", f"{quoted(TEXT)},71.5"): "Divide percentages by 100",
    ("text,accuracy", f"{quoted(TEXT)},-2"): "Bring the label to 0..1",
    ("text,accuracy", f"{quoted(TEXT)},0.5", f"{quoted(TEXT)},0.5"): "are the same",
    ("text,accuracy",): "no rows",
    ("text,accuracy", "hello,0.5", f"{quoted(TEXT)},0.6"): "row 2: line 'hello': not a graph text",
    ("path,accuracy", "no.onnx,0.5", "no.onnx,0.6"): "row 2: ",
    ("text,accuracy", "a,b,0.5"): "row 2: more cells than columns",
    ("text,accuracy,fidelity", f"{quoted(TEXT)},0.5,long"): "row 2: fidelity 'long'",
    ("text,accuracy,fidelity", f"{quoted(TEXT)},0.5,-1"): "row 2: fidelity '-1'",
    (
        "text,accuracy,text_version",
        f"{quoted(TEXT)},0.5,{TEXT_VERSION}",
        f"{quoted(TEXT)},0.6,{TEXT_VERSION - 1}",
    ): f"row 3: a text of version '{TEXT_VERSION - 1}'",
}


@pytest.mark.parametrize("rows", BAD)
def test_a_bad_table_is_named_by_file_and_row(rows: tuple[str, ...], tmp_path: Path) -> None:
    path = table(tmp_path, *rows)
    with pytest.raises(SurrogateError) as caught:
        read_table(path)
    assert BAD[rows] in str(caught.value)
    assert str(path) in str(caught.value)
    assert "Expected" in str(caught.value)


def test_a_named_column_has_to_be_there(tmp_path: Path) -> None:
    path = table(tmp_path, "text,accuracy", f"{quoted(TEXT)},0.5", f"{quoted(TEXT)},0.6")
    with pytest.raises(SurrogateError, match="no column 'stage'"):
        read_table(path, Columns(fidelity="stage"))


@pytest.mark.parametrize("name", ["table.csv", "table.parquet", "table.csv.gz"])
def test_bytes_that_are_no_table_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe\x00PAR1 nothing\x00")
    with pytest.raises(SurrogateError, match="not readable"):
        read_table(tmp_path / name)
    with pytest.raises(SurrogateError, match="not readable"):
        read_table(tmp_path / f"missing-{name}")


def test_a_corpus_keeps_what_is_known_of_each_text(tmp_path: Path) -> None:
    line = '{"text": "' + TEXT.replace("\n", "\\n") + '"'
    path = table(tmp_path, line + ', "targets": {"nwot": 2, "synflow": 1.5}}', line + "}")
    texts, columns = read_corpus(path)
    assert texts == [TEXT, TEXT]
    assert columns is not None
    assert columns["synflow"][0] == 1.5
    assert np.isnan(columns["nwot"][1])
    assert read_corpus(table(tmp_path, line + "}"))[1] is None


@pytest.mark.parametrize("content", ["{}", "no json", '{"text": 3}', '{"text": "hello"}', "[1]"])
def test_a_bad_corpus_is_named_by_line(content: str, tmp_path: Path) -> None:
    with pytest.raises(SurrogateError, match="line 1: "):
        read_corpus(table(tmp_path, content))
