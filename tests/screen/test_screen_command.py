"""`evoprompt screen` as a person and as a program call it; one call screens all the files here."""

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest

from evoprompt.candidate import Reason, Rejected, Stage
from evoprompt.cli import main
from evoprompt.commands.files import split_words
from evoprompt.commands.screen_report import printable, report_invalid
from surrogate.encode import read

HEAD = "import torch\nimport torch.nn as nn\n\n\n"
GOOD = (
    "class Net(nn.Module):\n"
    "    def __init__(self, num_classes):\n"
    "        super().__init__()\n"
    "        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(40, num_classes))\n\n"
    "    def forward(self, x):\n"
    "        return self.layers(x)\n"
)
BYTES = {
    "good.py": (HEAD + GOOD).encode(),
    "marked.py": b"\xef\xbb\xbf" + (HEAD + GOOD).replace("\n", "\r\n").encode(),
    "wide.py": GOOD.replace("40, num", "41, num").encode(),
    "open.py": (HEAD + GOOD.replace("super().", "open('x')\n        super().")).encode(),
    "latin.py": b"# caf\xe9\n" + GOOD.encode(),
    "null.py": b"import torch\n\0",
    "escape.py": (HEAD + GOOD).replace("layers(x)", "layers(x).to('\x1b[2J')").encode(),
    "huge.py": b"x = 1\n" * 1_700_000,
    "empty.py": b"",
}


def reports_of(folder: Path, *words: str) -> tuple[int, list[dict]]:
    command = [sys.executable, "-m", "evoprompt", "screen", *words]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return run.returncode, [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    it = tmp_path_factory.mktemp("programs")
    for name, data in BYTES.items():
        (it / name).write_bytes(data)
    return it


@pytest.fixture(scope="module")
def screened(folder: Path) -> dict[str, dict]:
    code, reports = reports_of(folder, "--json", *BYTES)
    assert code == 1
    assert [report["file"] for report in reports] == list(BYTES)
    return {report["file"]: report for report in reports}


def test_a_valid_program_is_reported_whole(screened: dict[str, dict], folder: Path) -> None:
    report = screened["good.py"]
    assert report["verdict"] == "valid"
    assert report["adapted"] == ["constructor"]
    assert (report["in_shape"], report["out_shape"]) == ([1, 40], [10])
    assert (report["parameters"], report["macs"], report["depth"]) == (410, 400, 1)
    assert report["latency_ms"] > 0
    assert report["latency_runs"] == 100
    assert report["text"].startswith("NET 1x40>10 task=mnist1d\n")
    assert report["reason"] is None
    graph = read(folder / report["onnx"], "mnist1d")
    assert (graph.hash, graph.text) == (report["graph"], report["text"])
    onnx.checker.check_model(onnx.load(folder / "good.onnx"), full_check=True)


def test_line_ends_and_a_byte_order_mark_make_no_difference(screened: dict[str, dict]) -> None:
    assert screened["marked.py"]["candidate"] == screened["good.py"]["candidate"]


@pytest.mark.parametrize(
    ("name", "reason", "line", "quoted"),
    [
        # The screen adds an import in front; the number is that of the file.
        ("wide.py", "forward_error", 7, "return self.layers(x)"),
        ("open.py", "forbidden_name", 7, "open('x')"),
        ("latin.py", "syntax", 1, None),
        ("null.py", "syntax", 2, None),
        ("huge.py", "too_long", None, None),
        ("empty.py", "no_net", None, None),
    ],
)
def test_a_rejection_names_reason_and_line(
    screened: dict[str, dict], name: str, reason: str, line: int | None, quoted: str | None
) -> None:
    report = screened[name]
    assert report["verdict"] == "rejected"
    assert (report["reason"], report["line"], report["quoted"]) == (reason, line, quoted)
    assert report["detail"]
    assert report["onnx"] is None


def test_only_graphs_of_valid_programs_are_written(screened: dict[str, dict], folder: Path) -> None:
    assert {path.name for path in folder.glob("*.onnx")} == {"good.onnx", "marked.onnx"}


def test_a_graph_is_written_anew_and_a_foreign_file_is_not(
    screened: dict[str, dict], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, reports = reports_of(folder, "good.py", "--json")
    assert code == 0
    assert reports[0]["onnx"] == "good.onnx"
    foreign = folder / "empty.onnx"
    foreign.write_bytes(b"somebody's work")
    with pytest.raises(SystemExit) as ended:
        main(["screen", str(folder / "empty.py")])
    assert ended.value.code == 2
    assert "was not written by this command" in capsys.readouterr().err
    assert foreign.read_bytes() == b"somebody's work"


def test_a_person_sees_a_panel_and_stdin_is_a_file_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(BYTES["good.py"])))
    (tmp_path / "escape.py").write_bytes(BYTES["escape.py"])
    with pytest.raises(SystemExit) as ended:
        main(["screen", "-", str(tmp_path / "escape.py"), "--out", str(tmp_path / "graphs")])
    shown = capsys.readouterr().out
    assert ended.value.code == 1
    assert "Linear 40>10 @10" in shown
    assert "410" in shown
    assert "line 11" in shown
    assert "\x1b[2J" not in shown
    assert [path.name for path in (tmp_path / "graphs").iterdir()] == ["stdin.onnx"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "no file given"),
        (["missing.py"], "No such file"),
        (["."], "not a regular file"),
        (["/dev/zero"], "not a regular file"),
        (["a/net.py", "b/net.py", "--out", "x"], "two graphs would be written to x/net.onnx"),
    ],
)
def test_usage_errors_exit_with_two(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["screen", *words])
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_files_and_flags_may_be_mixed() -> None:
    words = ["a.py", "--json", "b.py", "--task", "digits", "-", "--out=x", "--", "--odd.py"]
    files, flags = split_words(words, ("--json",))
    assert [str(file) for file in files] == ["a.py", "b.py", "-", "--odd.py"]
    assert flags == ["--json", "--task", "digits", "--out=x"]


def test_a_line_that_the_screen_added_has_no_number_in_the_file() -> None:
    verdict = Rejected(Stage.BUILD, Reason.BUILD_ERROR, "line 1: `import torch`: no")
    report = report_invalid(Path("net.py"), "\n\nx = 1\n", "import torch\nx = 1\n", verdict)
    assert (report.line, report.quoted, report.detail) == (None, "import torch", "no")
    verdict = Rejected(Stage.BUILD, Reason.BUILD_ERROR, "line 2: `x = 1`: no")
    assert report_invalid(Path("a"), "\n\nx = 1\n", "import torch\nx = 1\n", verdict).line == 3


def test_what_could_steer_a_terminal_is_replaced() -> None:
    assert printable("a\x1b[2Jb\r\u202ec\n") == "a\ufffd[2Jb\ufffd\ufffdc\n"
