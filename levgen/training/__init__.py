"""Training on this machine from a YAML in Levanter's schema. Importing this package imports no JAX."""

from pathlib import Path


def data_dir() -> Path:
    """The folder of what levgen ships to train on: `train.jsonl`, `validation.jsonl` and `tokenizer/`."""
    return Path(__file__).parent / "data"
