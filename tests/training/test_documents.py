import gzip
from pathlib import Path

import pytest

from levgen.training.documents import DataError, find_files, read_documents
from levgen.training.project import find_project


@pytest.mark.parametrize("packed", [False, True])
def test_jsonl_and_text(tmp_path: Path, packed: bool) -> None:
    def write(name: str, text: str) -> Path:
        path = tmp_path / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
        return path

    rows = write("a.jsonl", '{"text": "first\\nline\u2028 é"}\n\n{"text": " "}\n{"text": "second"}')
    assert list(read_documents(rows, "text")) == ["first\nline\u2028 é", "second"]
    assert list(read_documents(write("a.txt", "one\n\ntwo\n"), "text")) == ["one\n\ntwo\n"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", b" \n", "a.jsonl is empty"),
        ("a.txt", b"abc\0d", "a.txt is binary (a zero byte at offset 3); expected UTF-8 text"),
        ("a.txt", b"abc\xff", "a.txt is not UTF-8 text: invalid start byte at offset 3"),
        ("a.jsonl.gz", b"no gzip", "a.jsonl.gz is not a whole gzip file: Not a gzipped file"),
        ("a.jsonl.gz", gzip.compress(b"x" * 1000, mtime=0)[:-9], "a.jsonl.gz is not a whole gzip file: "),
        (
            "a.jsonl",
            b'{"text": "a"}\n{"text": "b"',
            "a.jsonl:2: not a JSON object: Expecting ',' delimiter at column 13",
        ),
        ("a.jsonl", b'{"text": "a"}\n[1]', "a.jsonl:2: expected an object with the key 'text', got list"),
        ("a.jsonl", b'{"txt": "a"}', "a.jsonl:1: no key 'text'\ndid you mean 'txt'?; its keys: txt"),
        ("a.jsonl", b'{"text": 3}', "a.jsonl:1: expected a string under 'text', got int"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read_documents(path, "text"))
    assert str(caught.value).startswith(f"{tmp_path}/{problem}")


def test_finding_files(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = find_project(project / "config" / "tiny.yaml")
    shipped = [project / "data" / "train.jsonl"]
    assert find_files(["data/train.jsonl"], here) == shipped
    monkeypatch.chdir(tmp_path)
    assert find_files(["data/train.jsonl"], here) == shipped  # not here, so seen from the root
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").touch()
    assert find_files(["data/train.jsonl"], here) == [tmp_path / "data" / "train.jsonl"]


def test_patterns(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = find_project(project / "config" / "tiny.yaml")
    folder = project / "data"
    (folder / "more").mkdir()
    (folder / "more" / "b.txt.gz").touch()
    both = [folder / "train.jsonl", folder / "validation.jsonl"]
    assert find_files(["data/*.jsonl"], here) == both
    assert find_files(["data/**/b.*", "data/[tv]*.jsonl"], here) == [folder / "more" / "b.txt.gz", *both]
    monkeypatch.chdir(tmp_path)
    assert find_files(["data/*.jsonl"], here) == find_files([f"{folder}/*.jsonl"], here) == both
    with pytest.raises(DataError, match=r"train\.jsonl is named twice"):
        find_files(["data/*.jsonl", "data/train.jsonl"], here)
    with pytest.raises(DataError, match=r"no file matches data/\*\.csv in"):
        find_files(["data/*.csv"], here)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("data/trian.jsonl", "no data file data/trian.jsonl in .*\ndid you mean 'train.jsonl'?"),
        ("data/build.py", r"build.py: expected a file named \*?.jsonl or .txt, with or without .gz"),
        ("gs://bucket/a.jsonl", "the local engine reads files, not addresses: gs://bucket/a.jsonl"),
    ],
)
def test_wrong_names(project: Path, url: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        find_files([url], find_project(project))
