import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from levgen.training.batches import Batches, TrainingData, load_data
from levgen.training.documents import DataError
from levgen.training.project import find_project
from levgen.training.tokenizer import TokenizerError, load_tokenizer
from levgen.training.validate import load

Edit = Callable[..., Path]


def numbered(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int32)[:, None]


@given(count=st.integers(1, 20), size=st.integers(1, 7), seed=st.integers(0, 3), step=st.integers(0, 30))
def test_each_epoch_has_every_sequence_once(count: int, size: int, seed: int, step: int) -> None:
    batches = Batches(numbered(count), size, seed, shuffle=True)
    seen = np.concatenate([batches.at(index)[:, 0] for index in range(step + count)])
    for epoch in range(len(seen) // count):
        assert sorted(seen[epoch * count : (epoch + 1) * count]) == list(range(count))
    direct = Batches(numbered(count), size, seed, shuffle=True).at(step)  # without the steps before
    assert np.array_equal(direct[:, 0], seen[step * size : (step + 1) * size])


def test_order_follows_from_the_seed_and_the_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return Batches(numbered(50), 50, seed, shuffle=True).at(epoch)[:, 0].tolist()

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(0, 0)), tuple(order(1, 0)), tuple(order(0, 1))}) == 3
    assert Batches(numbered(50), 50, 0, shuffle=False).at(3)[:, 0].tolist() == list(range(50))


def load_example(path: Path, seq_len: int = 32) -> TrainingData:
    project, data = find_project(path), load(path).config.data
    return load_data(data, load_tokenizer(data.tokenizer, project), seq_len=seq_len, project=project)


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
    assert len(files) == 2
    assert np.array_equal(load_example(path).train, first.train)
    text = {"text": "x" * 100}
    (project / "data" / "train.jsonl").write_text(json.dumps(text))
    changed = load_example(path)
    assert changed.digest != first.digest
    assert changed.train.tolist() == [[ord("x")] * 32] * 3


def test_too_little_text(project: Path, yaml_file: Edit) -> None:
    (project / "data" / "train.jsonl").write_text('{"text": "short"}')
    with pytest.raises(DataError, match="component 'shipped' has 6 tokens: fewer than one sequence of 32"):
        load_example(yaml_file())


def test_eos_is_needed_unless_switched_off(project: Path, yaml_file: Edit) -> None:
    (project / "data" / "tokenizer" / "tokenizer_config.json").write_text("{}")
    with pytest.raises(TokenizerError, match="names no eos_token"):
        load_example(yaml_file())
    assert 256 not in load_example(yaml_file(("  cache_dir:", "  enforce_eos: false\n  cache_dir:"))).train
