"""Ids of the hub, from a cache of it: nothing here reaches a network."""

import json
from pathlib import Path

import pytest

from levgen.cli.app import run
from levgen.errors import LevgenError
from levgen.reference.hub import local_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The snapshot of `someone/tiny-llama` in a cache, as huggingface_hub lays it out."""
    cache = tmp_path / "hub"
    repository = cache / "models--someone--tiny-llama"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 1024}
    (snapshot / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    return snapshot


@pytest.mark.parametrize("source", ["someone/tiny-llama", f"someone/tiny-llama@{COMMIT}", "someone/tiny-llama@main"])
def test_an_id_is_the_folder_of_its_config(cached: Path, source: str) -> None:
    assert local_folder(source) == cached


def test_a_folder_comes_before_an_id(cached: Path) -> None:
    folder = Path("someone/tiny-llama")
    folder.mkdir(parents=True)
    assert local_folder("someone/tiny-llama") == folder


@pytest.mark.parametrize("source", ["someone/other", "someone/tiny-llama@v2"])
def test_what_the_hub_has_not_got(cached: Path, source: str) -> None:
    with pytest.raises(LevgenError, match=f"there is no folder {source}, and no model of that id"):
        local_folder(source)


@pytest.mark.parametrize("source", ["llama", "../a/b", "/tmp/nowhere", "a/b/c", "https://a.b/c"])
def test_what_is_no_id_stays_a_path(source: str) -> None:
    assert local_folder(source) == Path(source)


def test_a_model_of_an_id(cached: Path, tmp_path: Path) -> None:
    assert run(["new-model", "my_llama", "--from", "someone/tiny-llama", "--dest", "demo"]) == 0
    assert "hidden_dim: int = 1024\n" in Path("demo/models/my_llama.py").read_text()
