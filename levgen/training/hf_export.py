"""Exports of a run: folders that transformers' `from_pretrained` reads, model and tokenizer."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from levgen.runtime import LmHeadModel, save_hf
from levgen.runtime.checkpoints.names import hf_tensors
from levgen.training.tokenizer import Tokenizer

# What the tokenizers of transformers are read from; a folder has some of them.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
)


@dataclass(frozen=True)
class HfExport:
    """Exports into `folder`/step-N, after every `every` steps."""

    folder: Path
    every: int
    dtype: str | None
    tokenizer: Tokenizer

    def is_due(self, done: int) -> bool:
        return done % self.every == 0

    def save(self, model: LmHeadModel, step: int) -> Path:
        """Writes `model` as it is after `step` steps; an export of that step is replaced."""
        folder = self.folder / f"step-{step}"
        write_hf_folder(model, folder, self.tokenizer, dtype=self.dtype)
        return folder


def write_hf_folder(model: LmHeadModel, folder: Path, tokenizer: Tokenizer, *, dtype: str | None = None) -> None:
    """Writes `model` and its tokenizer's files to `folder`, which is complete or as it was before."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    ids = {"bos_token_id": tokenizer.bos_id, "eos_token_id": tokenizer.eos_id}
    save_hf(model, part, dtype=dtype, config_overrides=ids)
    for name in TOKENIZER_FILES:
        if (tokenizer.folder / name).is_file():
            shutil.copyfile(tokenizer.folder / name, part / name)
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)


def check_exportable(model: LmHeadModel) -> None:
    """Tries what an export does before it writes, on `model` with shapes for arrays.

    Raises:
        LevgenError: the config or a tensor has no name in a transformers checkpoint.
    """
    model.config.to_hf_config(model.vocab_size)
    hf_tensors(model)
