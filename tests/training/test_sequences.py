"""From files to sequences: concatenated, cut, cached; and what is wrong with text that makes none."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from levgen.training.documents import DataError
from levgen.training.project import find_project
from levgen.training.sequences import Sequences, load_data
from levgen.training.tokenizer import TokenizerError, load_tokenizer
from levgen.training.validate import load

Edit = Callable[..., Path]


def load_example(path: Path, seq_len: int = 32) -> Sequences:
    project, data = find_project(path), load(path).config.data
    return load_data(data, load_tokenizer(data.tokenizer, project), seq_len=seq_len, project=project)["shipped"]


def test_documents_are_concatenated_and_cut(project: Path, yaml_file: Edit) -> None:
    (project / "data" / "train.jsonl").write_text('{"text": "abcde"}\n{"text": "fgh"}\n{"text": "ij"}\n')
    path = yaml_file(("        validation_urls: [data/validation.jsonl]\n", ""))
    data = load_example(path, seq_len=4)
    assert data.train.tolist() == [[97, 98, 99, 100], [101, 256, 102, 103], [104, 256, 105, 106]]  # the last EOS is cut
    assert len(data.validation) == 0  # too few to hold any out


def test_tail_is_held_out_without_validation_files(yaml_file: Edit) -> None:
    whole = load_example(yaml_file())
    split = load_example(yaml_file(("        validation_urls: [data/validation.jsonl]\n", "")))
    assert len(whole.validation) > 100
    assert len(split.validation) == len(whole.train) // 20
    assert np.array_equal(np.concatenate([split.train, split.validation]), whole.train)


def test_tokens_are_cached_and_the_cache_follows_the_files(project: Path, yaml_file: Edit) -> None:
    path = yaml_file()
    first = load_example(path)
    files = sorted((project / ".cache" / "tokens" / "shipped").iterdir())
    assert [file.suffix for file in files] == [".json", ".npy"] * 2  # of training and validation
    assert load_example(path).summary == first.summary
    assert np.array_equal(load_example(path).train, first.train)
    text = {"text": "x" * 100}
    (project / "data" / "train.jsonl").write_text(json.dumps(text))
    changed = load_example(path)
    assert changed.digest != first.digest
    assert changed.train.tolist() == [[ord("x")] * 32] * 3


def test_what_is_left_out_is_counted(project: Path, yaml_file: Edit) -> None:
    rows = [{"text": "x" * 100}, {"text": ""}, {"text": " "}, {"text": "y"}]
    (project / "data" / "train.jsonl").write_text("\n\n".join(map(json.dumps, rows)) + "\n")
    path = yaml_file()
    for data in (load_example(path), load_example(path)):  # tokenised, and out of the cache
        assert data.summary == (
            "data 'shipped': 2 documents (2 rows without text left out), 3 sequences of 32; the last 7 tokens fill none"
        )
    assert load_example(path, seq_len=103).summary.endswith("out), 1 sequence of 103")


def test_too_little_text(project: Path, yaml_file: Edit) -> None:
    (project / "data" / "train.jsonl").write_text('{"text": "short"}')
    with pytest.raises(DataError, match="component 'shipped' has 6 tokens: fewer than one sequence of 32"):
        load_example(yaml_file())


def test_eos_is_needed_unless_switched_off(project: Path, yaml_file: Edit) -> None:
    (project / "data" / "tokenizer" / "tokenizer_config.json").write_text("{}")
    with pytest.raises(TokenizerError, match="names no eos_token"):
        load_example(yaml_file())
    assert 256 not in load_example(yaml_file(("  cache_dir:", "  enforce_eos: false\n  cache_dir:"))).train


def test_a_document_longer_than_a_sequence_goes_on_in_the_next(project: Path, yaml_file: Edit) -> None:
    (project / "data" / "train.jsonl").write_text(json.dumps({"text": "0123456789" * 2}))
    path = yaml_file(("        validation_urls: [data/validation.jsonl]\n", ""))
    train = load_example(path, seq_len=8).train
    assert bytes(train.ravel().astype(np.uint8)).decode() == "0123456789012345"  # and what fills no sequence is dropped
