"""`python -m surrogate`: what each command prints; a mistake is one line and exit code 2."""

import csv
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from onnx import helper

from surrogate.__main__ import main
from surrogate.encode import TEXT_VERSION, read
from tests.surrogate.nets import ReferenceCnn, Residual, export, small_model

Printed = pytest.CaptureFixture[str]
WIDTHS = range(4, 12)
KERNELS = (3, 5, 7)


def accuracy(width: int, kernel: int) -> float:
    """Against the prior: wider is worse."""
    return 0.9 - width / 40 + kernel / 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("nets")
    rows = ["path,accuracy,origin"]
    for width in WIDTHS:
        for kernel in KERNELS:
            name = f"cnn{width}-{kernel}.onnx"
            (place / name).write_bytes(export(ReferenceCnn(width, kernel)))
            rows.append(f"{name},{accuracy(width, kernel)},{'even' if width % 2 == 0 else 'odd'}")
    (place / "table.csv").write_text("\n".join(rows) + "\n")
    return place


@pytest.fixture(scope="module")
def model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "v1"
    assert main(["fit", str(folder / "table.csv"), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("residual") / "residual.onnx"
    path.write_bytes(export(Residual()))
    return path


def files_in(printed: str) -> list[str]:
    words = [word.rsplit("/", 1)[-1] for word in printed.replace("│", " ").split()]
    return [word for word in words if word.endswith(".onnx")]


def test_score_without_labels_ranks_by_size_and_says_so(folder: Path, capsys: Printed) -> None:
    files = [str(folder / f"cnn{width}-5.onnx") for width in (4, 11, 8)]
    assert main(["score", *files]) == 0
    printed = capsys.readouterr().out
    assert files_in(printed) == ["cnn11-5.onnx", "cnn8-5.onnx", "cnn4-5.onnx"]
    assert "rests on size only" in printed
    assert "no labels" in printed


def test_score_with_few_labels_says_that_the_prior_speaks(
    folder: Path, tmp_path: Path, capsys: Printed
) -> None:
    few = folder / "few.csv"
    few.write_text("path,accuracy\ncnn4-3.onnx,0.5\ncnn5-3.onnx,0.6\ncnn6-3.onnx,0.7\n")
    assert main(["fit", str(few), "--out", str(tmp_path / "v1")]) == 0
    assert "prior only (parameters and MACs): 3 labels, fewer than 12" in capsys.readouterr().out


def test_fit_then_score_ranks_by_the_labels(folder: Path, model: Path, capsys: Printed) -> None:
    files = [str(folder / f"cnn{width}-5.onnx") for width in (4, 11, 8)]
    assert main(["score", *files, "--model", str(model)]) == 0
    printed = capsys.readouterr().out
    assert files_in(printed) == ["cnn4-5.onnx", "cnn8-5.onnx", "cnn11-5.onnx"]
    assert "It rests on 24 labels: " in printed
    for member in ("process", "trees", "prior"):
        assert member in printed


def test_an_unknown_task_is_called_so(folder: Path, model: Path, capsys: Printed) -> None:
    net = str(folder / "cnn4-5.onnx")
    assert main(["score", net, "--model", str(model), "--task", "cifar10"]) == 0
    assert "None is of the task 'cifar10'" in capsys.readouterr().out


def test_fit_says_each_members_figure_and_leaves_nothing_beside(
    folder: Path, tmp_path: Path, capsys: Printed
) -> None:
    out = tmp_path / "new" / "v1"
    command = ["fit", str(folder / "table.csv"), "--out", str(out)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "learned 24 labels" in printed
    assert "Kendall tau" in printed
    assert main(command) == 0  # takes the place of the old one
    assert sorted(path.name for path in out.parent.iterdir()) == ["v1"]
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "model.safetensors"]


def test_fit_says_when_fine_tuning_does_not_pay(
    folder: Path, tmp_path: Path, capsys: Printed
) -> None:
    fit = ["fit", str(folder / "table.csv"), "--out", str(tmp_path / "few"), "--fine-tune"]
    assert main(fit) == 0
    assert "Not fine-tuned: 24 labels are too few" in capsys.readouterr().out


def test_fit_does_not_replace_what_is_no_predictor(
    folder: Path, tmp_path: Path, capsys: Printed
) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    assert main(["fit", str(folder / "table.csv"), "--out", str(tmp_path)]) == 2
    assert "not a predictor's folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_json_is_one_array_best_first(folder: Path, model: Path, capsys: Printed) -> None:
    assert main(["score", str(folder), "--model", str(model), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(WIDTHS) * len(KERNELS)
    means = [row["mean"] for row in rows]
    assert means == sorted(means, reverse=True)
    for row in rows:
        assert 0 <= row["low"] <= row["mean"] <= row["high"] <= 1
    assert rows[0]["hash"] == read(Path(rows[0]["file"])).hash


def test_a_broken_file_among_others_is_named_at_the_end(
    folder: Path, tmp_path: Path, capsys: Printed
) -> None:
    (tmp_path / "deep" / "down").mkdir(parents=True)
    (tmp_path / "deep" / "bad.onnx").write_bytes(b"no network")
    for name in ("a", "down/b"):
        content = (folder / "cnn4-3.onnx").read_bytes()
        (tmp_path / "deep" / f"{name}.onnx").write_bytes(content)
    assert main(["score", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert files_in(captured.out) == ["a.onnx", "b.onnx"]
    assert captured.err.startswith("surrogate: left out: ")
    assert "bad.onnx" in captured.err
    assert captured.err.count("\n") == 1


def test_only_broken_files_are_one_message(tmp_path: Path, capsys: Printed) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.onnx").write_bytes(b"no network")
    assert main(["score", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "a.onnx" in error
    assert "1 more" in error


def test_a_network_too_long_for_the_encoders_is_left_out_by_name(
    folder: Path, tmp_path: Path, capsys: Printed
) -> None:
    names = ["input", *(f"x{step}" for step in range(2100)), "logits"]
    nodes = [
        helper.make_node("LeakyRelu", [names[step]], [names[step + 1]], alpha=0.1 + step / 1e4)
        for step in range(2100)
    ]
    nodes.append(helper.make_node("Flatten", ["x2099"], ["logits"]))
    endless = small_model(nodes=nodes, inputs=[("input", ["n", 1, 4])])
    (tmp_path / "endless.onnx").write_bytes(endless.SerializeToString())
    assert main(["score", str(tmp_path / "endless.onnx"), str(folder / "cnn4-3.onnx")]) == 1
    error = capsys.readouterr().err
    assert "endless.onnx" in error
    assert "lines after folding" in error


def test_encode_prints_text_and_hash(residual: Path, capsys: Printed) -> None:
    assert main(["encode", str(residual), "--task", "mnist1d"]) == 0
    graph = read(residual, "mnist1d")
    printed = capsys.readouterr().out
    assert printed.startswith(graph.text + "\n")
    assert "task=mnist1d" in printed.split("\n")[0]
    assert graph.hash == read(residual).hash
    assert graph.hash in printed


def test_explain_shows_every_line_and_the_extremes(
    residual: Path, model: Path, capsys: Printed
) -> None:
    assert main(["explain", str(residual), "--model", str(model)]) == 0
    printed = capsys.readouterr().out
    for line in read(residual).lines:
        assert line in printed
    assert "(the output)" in printed
    assert "Worth most: " in printed
    assert "Better without: " in printed


def test_explain_without_labels_has_nothing_to_say(residual: Path, capsys: Printed) -> None:
    assert main(["explain", str(residual)]) == 2
    assert "nothing to explain" in capsys.readouterr().err


def test_nearest_searches_a_run_and_shows_what_was_measured(
    folder: Path, tmp_path: Path, capsys: Printed
) -> None:
    (tmp_path / "graphs").mkdir()
    for width in (4, 5, 9):
        content = (folder / f"cnn{width}-5.onnx").read_bytes()
        (tmp_path / "graphs" / f"{width}.onnx").write_bytes(content)
    (tmp_path / "other.onnx").write_bytes(b"not one of the run's graphs")
    command = ["nearest", str(folder / "cnn5-5.onnx"), "--in", str(tmp_path), "-k", "2"]
    assert main([*command, "--table", str(folder / "table.csv")]) == 0
    printed = capsys.readouterr().out
    assert files_in(printed)[0] == "5.onnx"
    assert len(files_in(printed)) == 2
    assert printed.count("(the same graph)") == 1
    assert f"{accuracy(5, 5):.3f}" in printed


def test_nearest_knows_networks_whatever_task_the_table_names(
    folder: Path, tmp_path: Path, capsys: Printed
) -> None:
    net, other = folder / "cnn5-5.onnx", folder / "cnn4-5.onnx"
    rows = [(read(net, "mnist1d").text, 0.625), (read(other, "mnist1d").text, 0.5)]
    with (tmp_path / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "accuracy"), *rows])
    command = ["nearest", str(net), "--in", str(folder), "-k", "1"]
    assert main([*command, "--table", str(tmp_path / "table.csv")]) == 0
    assert "0.625" in capsys.readouterr().out


def test_report_of_a_predictor_and_its_page(model: Path, tmp_path: Path, capsys: Printed) -> None:
    page = tmp_path / "report.html"
    assert main(["report", str(model), "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    for words in ("24 labelled networks", "Kendall tau", "Spearman", "random, expected"):
        assert words in printed
    for words in ("promised", "process", "Noise of one training: not known", "size alone"):
        assert words in printed
    assert "<svg" in page.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_report_on_a_table_leaves_out_what_was_learned(
    folder: Path, model: Path, capsys: Printed
) -> None:
    rows = ["path,accuracy"]
    for width in range(12, 18):
        name = f"new{width}.onnx"
        (folder / "new").mkdir(exist_ok=True)
        (folder / "new" / name).write_bytes(export(ReferenceCnn(width)))
        rows.append(f"new/{name},{accuracy(width, 5)}")
    rows.append(f"cnn4-3.onnx,{accuracy(4, 3)}")
    table = folder / "unseen.csv"
    table.write_text("\n".join(rows) + "\n")
    assert main(["report", "--model", str(model), "--table", str(table)]) == 0
    printed = capsys.readouterr().out
    assert "6 networks of" in printed
    assert "(1 that it has are left out)" in printed


def test_report_of_the_built_in_predictor_needs_a_table(folder: Path, capsys: Printed) -> None:
    assert main(["report"]) == 2
    assert "--table" in capsys.readouterr().err
    assert main(["report", "--table", str(folder / "table.csv")]) == 0
    printed = capsys.readouterr().out
    assert "cross-validation" in printed
    assert "learned from all other families" in printed
    assert "even" in printed


def test_pretrain_writes_a_predictor(residual: Path, tmp_path: Path, capsys: Printed) -> None:
    text = read(residual).text
    rows = [json.dumps({"text": text.replace("8", str(width))}) for width in range(10, 120)]
    (tmp_path / "texts.jsonl").write_text("\n".join(rows))
    out = tmp_path / "encoder"
    command = ["pretrain", str(tmp_path / "texts.jsonl"), "--minutes", "0.01", "--out", str(out)]
    assert main(command) == 0
    assert main(["score", str(residual), "--model", str(out)]) == 0


BAD_TABLES = {
    "path,label\ncnn4-3.onnx,0.5\n": "no column 'accuracy'",
    "path,accuracy\ncnn4-3.onnx,high\n": "row 2: label 'high'",
    "path,accuracy\ncnn4-3.onnx,0.5\ncnn5-3.onnx,nan\n": "row 3: label 'nan'",
    "path,accuracy\ncnn4-3.onnx,0.5\ncnn5-3.onnx,71.0\n": "Divide percentages by 100",
    "path,accuracy\ncnn4-3.onnx,0.5\ncnn5-3.onnx,0.5\n": "are the same",
    "path,accuracy\nnone.onnx,0.5\ncnn5-3.onnx,0.6\n": "row 2: ",
    f"path,accuracy,text_version\ncnn4-3.onnx,0.5,{TEXT_VERSION - 1}\n": "a text of version",
    "": "no rows",
}


@pytest.mark.parametrize("content", BAD_TABLES)
def test_a_bad_table_is_one_line_and_nothing_is_written(
    content: str, folder: Path, tmp_path: Path, capsys: Printed
) -> None:
    table = folder / "bad.csv"
    table.write_text(content)
    assert main(["fit", str(table), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert BAD_TABLES[content] in error
    assert str(table) in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def to_pickle(model: Path) -> None:
    (model / "model.safetensors").write_bytes(pickle.dumps({"weights": [1, 2, 3]}))


def to_older_text(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    config["text"] = TEXT_VERSION - 1
    (model / "config.json").write_text(json.dumps(config))


def to_truncated(model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


SPOILED: dict[Callable[[Path], object], str] = {
    to_pickle: "a pickle",
    to_older_text: f"text version {TEXT_VERSION - 1}",
    to_truncated: "truncated",
    lambda model: (model / "model.safetensors").unlink(): "not readable",
    lambda model: (model / "config.json").unlink(): "not readable",
    lambda model: (model / "config.json").write_text("{"): "not JSON",
}


@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize("command", ["score", "fit", "report", "nearest"])
def test_a_spoiled_predictor_is_one_line(
    spoil: Callable[[Path], object],
    command: str,
    model: Path,
    folder: Path,
    tmp_path: Path,
    capsys: Printed,
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in model.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    spoil(copy)
    net, out = str(folder / "cnn4-3.onnx"), tmp_path / "out"
    arguments = {
        "score": [net],
        "fit": [str(folder / "table.csv"), "--out", str(out)],
        "report": [],
        "nearest": [net, "--in", str(folder)],
    }
    assert main([command, *arguments[command], "--model", str(copy)]) == 2
    error = capsys.readouterr().err
    assert SPOILED[spoil] in error
    assert error.count("\n") == 1
    assert not out.exists()


def refused(arguments: list[str], capsys: Printed) -> str:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("surrogate: ")
    assert error.count("\n") == 1
    return error


def test_other_mistakes_are_one_line(folder: Path, tmp_path: Path, capsys: Printed) -> None:
    net, table = str(folder / "cnn4-3.onnx"), str(folder / "table.csv")
    assert "no .onnx file" in refused(["score", str(tmp_path)], capsys)
    assert "no such file" in refused(["encode", str(tmp_path / "no.onnx")], capsys)
    assert "not a folder" in refused(["nearest", net, "--in", net], capsys)
    assert "fewer than one" in refused(["nearest", net, "--in", str(folder), "-k", "0"], capsys)
    fit = ["fit", table, "--out", str(tmp_path / "v1")]
    assert "--encoder" in refused([*fit, "--fine-tune-encoder", "3"], capsys)
    both = [*fit, "--fine-tune", "--encoder", "roberta-base"]
    assert "--fine-tune-encoder" in refused(both, capsys)
    both = [*fit, "--encoder", "bert", "--model", str(tmp_path)]
    assert "two encoders" in refused(both, capsys)
    assert "no column 'mood'" in refused([*fit, "--task-column", "mood"], capsys)
    assert "not use an encoder" in refused(["score", net, "--encoder", "bert"], capsys)
    missing = str(tmp_path / "no" / "page.html")
    assert "cannot be written" in refused(["report", "--table", table, "--html", missing], capsys)


def test_a_bad_file_ends_the_real_command_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not onnx at all")
    command = [sys.executable, "-m", "surrogate", "score", str(tmp_path / "bad.onnx")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.startswith("surrogate: ")
    assert run.stderr.count("\n") == 1


def test_encode_imports_no_torch(residual: Path) -> None:
    program = (
        "import sys; from surrogate.__main__ import main; "
        f"assert main(['encode', {str(residual)!r}]) == 0; "
        "heavy = {'torch', 'lightgbm', 'pyarrow', 'transformers', 'rich'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
