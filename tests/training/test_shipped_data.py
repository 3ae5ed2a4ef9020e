"""What levgen ships to train on."""

import json
from pathlib import Path

from levgen.importing import import_file
from levgen.training import data_dir


def test_text_is_prose_with_its_licence() -> None:
    texts = [
        json.loads(line)["text"]
        for name in ("train.jsonl", "validation.jsonl")
        for line in (data_dir() / name).read_text(encoding="utf-8").splitlines()
    ]
    assert 100_000 < sum(map(len, texts)) < 200_000
    paragraphs = [paragraph for text in texts for paragraph in text.split("\n\n")]
    assert len(set(paragraphs)) == len(paragraphs)  # nothing of the validation text is trained on
    assert "Python Software Foundation" in (data_dir() / "LICENSE-PYTHON.txt").read_text()
    assert "PSF" in (data_dir() / "README.md").read_text()


def test_tokenizer_is_what_its_script_writes(tmp_path: Path) -> None:
    build = import_file(data_dir() / "build.py", "build_shipped_data")
    build.write_tokenizer(tmp_path / "tokenizer")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "tokenizer" / name).read_text() == (data_dir() / "tokenizer" / name).read_text()
