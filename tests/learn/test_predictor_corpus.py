"""The corpus command: the same seed gives the same lines, a killed run goes on where it was."""

import json
from collections import Counter
from pathlib import Path

import pytest

from evoprompt import chance
from evoprompt.commands.predictor_corpus import SHAPES, draw, main, write_corpus
from evoprompt.errors import ConfigError
from surrogate.parse import parse
from surrogate.proxies import PROXIES

COUNT = 24


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    write_corpus(path, COUNT, seed=1, workers=2)
    return path


def test_every_line_is_another_graph_with_its_text_and_proxies(corpus):
    rows = [json.loads(line) for line in corpus.read_text().splitlines()]
    assert len(rows) == len({row["graph"] for row in rows}) == COUNT
    assert [row["index"] for row in rows] == sorted(row["index"] for row in rows)
    assert {row["origin"] for row in rows} >= {"cells", "program"}
    for row in rows:
        assert tuple(row["targets"]) == PROXIES
        assert len(parse(row["text"]).lines) > 1


def test_a_run_that_was_killed_in_the_middle_of_a_line_ends_with_the_same_file(corpus, tmp_path):
    whole = corpus.read_bytes()
    lines = whole.splitlines(keepends=True)
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"".join(lines[:15]) + lines[15][:100])
    write_corpus(path, COUNT, seed=1, workers=1)
    assert path.read_bytes() == whole


def test_a_complete_corpus_is_left_as_it_is(corpus):
    before = corpus.read_bytes()
    main(["--count", str(COUNT), "--seed", "1", "--workers", "1", "--out", str(corpus)])
    assert corpus.read_bytes() == before


def test_a_corpus_of_another_seed_is_refused(corpus, capsys):
    before = corpus.read_bytes()
    with pytest.raises(SystemExit, match="2"):
        main(["--seed", "2", "--out", str(corpus)])
    assert "a corpus of seed 1. Expected seed 2" in capsys.readouterr().err
    assert corpus.read_bytes() == before


@pytest.mark.parametrize("text", ["not JSON\n", '{"text": "NET 40>10"}\n', "[1]\n"])
def test_a_file_that_is_no_corpus_is_refused_and_kept(tmp_path, text):
    path = tmp_path / "notes.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match="not a corpus of this command"):
        write_corpus(path, COUNT, seed=1, workers=1)
    assert path.read_text() == text


def test_half_the_networks_are_of_cells_and_most_others_of_the_signals_shape():
    drawn = [draw(chance.generator(0, "corpus", index)) for index in range(600)]
    origins = Counter(origin for origin, *_ in drawn)
    assert 0.4 < origins["cells"] / len(drawn) < 0.6
    assert origins["seed"] > 10
    shapes = Counter(shape for origin, _, shape, _ in drawn if origin != "cells")
    assert set(shapes) == set(SHAPES)
    assert shapes[(1, 40)] > 0.5 * shapes.total()
