"""Levanter's own models: every finding was looked at and is a fault of theirs; none may come or go unseen.

Levanter is no dependency: set LEVANTER_MODELS to its folder `models`, or install `marin-levanter`. The record is of one
version; running this file writes it anew, to be read line by line.
"""

import hashlib
import importlib.util
import os
from pathlib import Path

import pytest

from levgen.check.runner import check_paths

RECORD = Path(__file__).parent / "levanter_findings.txt"

# The faults of Levanter 0.2.227 that made levgen wanted, as far as source shows them.
KNOWN_FAULTS = {
    "layers unrolled cannot load a checkpoint": ("llama.py", "LEV207", "LlamaDecoderLayer"),
    "Gemma reads rope_theta, which transformers 5 has not": ("gemma.py", "LEV406", "rope_theta"),
    "Mistral's window is never applied": ("mistral.py", "LEV101", "MistralConfig.sliding_window"),
    "nor is Qwen3's": ("qwen.py", "LEV101", "Qwen3Config.sliding_window"),
    "nor Gemma3's pattern": ("gemma.py", "LEV101", "Gemma3Config.sliding_window_pattern"),
    "Llama's biases are written and not read": ("llama.py", "LEV401", "use_bias"),
    "Llama's head size is in neither direction": ("llama.py", "LEV402", "head_dim"),
    "one key for embedding and head: llama": ("llama.py", "LEV201", "k_emb"),
    "one key for embedding and head: qwen": ("qwen.py", "LEV201", "k_emb"),
    "one key for embedding and head: mistral": ("mistral.py", "LEV201", "k_emb"),
    "one key for embedding and head: mixtral": ("mixtral.py", "LEV201", "k_emb"),
    "one key for embedding and head: gemma": ("gemma.py", "LEV201", "k_emb"),
    "flops take the head size for hidden / heads": ("llama.py", "LEV109", "flops_per_token"),
    "layers that differ are unrolled": ("olmo3.py", "LEV206", "one by one"),
    "from_hf_config names its class": ("llama.py", "LEV404", "LlamaConfig"),
    "Mistral drops the rope scaling": ("mistral.py", "LEV412", "hf_rope_config"),
    "Whisper's projections load transposed": ("whisper.py", "LEV212", "transpose"),
}


def levanter_models() -> Path | None:
    """The folder of Levanter's models, without importing it."""
    named = os.environ.get("LEVANTER_MODELS")
    if named:
        return Path(named)
    spec = importlib.util.find_spec("levanter")
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    return Path(folders[0]) / "models" if folders else None


def fingerprint(folder: Path) -> str:
    """A hash of the files, which stands in the record's first line."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def lines(folder: Path) -> list[str]:
    """The findings without lines and columns, sorted."""
    return sorted(f"{one.path.name} {one.code} {one.message}" for one in check_paths([folder]))


@pytest.fixture(scope="module")
def folder() -> Path:
    found = levanter_models()
    if found is None or not found.is_dir():
        pytest.skip("Levanter's source is not here: set LEVANTER_MODELS or install marin-levanter")
    return found


@pytest.fixture(scope="module")
def found(folder: Path) -> list[str]:
    return lines(folder)


@pytest.mark.parametrize("fault", KNOWN_FAULTS)
def test_known_fault_is_found(fault: str, found: list[str]) -> None:
    file, code, words = KNOWN_FAULTS[fault]
    assert any(one.startswith(f"{file} {code} ") and words in one for one in found)


def test_linear_rope_is_written_as_default(folder: Path) -> None:
    rotary = folder.parent / "layers" / "rotary.py"
    if not rotary.is_file():
        pytest.skip("there are Levanter's models only, without its layers")
    said = [one.message for one in check_paths([rotary]) if one.code == "LEV110"]
    assert said == ["`DefaultRotaryEmbeddingsConfig` is 'default' and 'linear': it is written as 'default' always"]


def test_findings_are_those_that_were_looked_at(folder: Path, found: list[str]) -> None:
    version, *recorded = RECORD.read_text(encoding="utf-8").splitlines()
    if version != fingerprint(folder):
        pytest.skip("the record is of another version of Levanter")
    assert found == recorded


if __name__ == "__main__":
    place = levanter_models()
    if place is None:
        raise SystemExit("set LEVANTER_MODELS")
    RECORD.write_text("\n".join([fingerprint(place), *lines(place)]) + "\n", encoding="utf-8")
