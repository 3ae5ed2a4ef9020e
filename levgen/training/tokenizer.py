"""Tokenizers in the format of the `tokenizers` library: a folder with `tokenizer.json` and `tokenizer_config.json`."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer as FastTokenizer

from levgen.errors import LevgenError
from levgen.training import data_dir
from levgen.training.project import Project


class TokenizerError(LevgenError):
    """A tokenizer that is missing or broken, or lacks a token."""


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer, its special tokens, and a digest of its files."""

    folder: Path
    fast: FastTokenizer
    bos_id: int | None
    eos_id: int | None
    digest: str

    @property
    def vocab_size(self) -> int:
        """One more than the greatest id, special tokens included."""
        return max(self.fast.get_vocab(with_added_tokens=True).values()) + 1

    def encode_documents(self, texts: list[str], *, with_eos: bool) -> np.ndarray[Any, np.dtype[np.int32]]:
        """All `texts` one after the other as one array of ids, each between BOS (where there is one) and EOS."""
        before = [] if self.bos_id is None else [self.bos_id]
        after = [self.eos_id] if with_eos and self.eos_id is not None else []
        pieces = [
            np.asarray([*before, *encoding.ids, *after], dtype=np.int32)
            for encoding in self.fast.encode_batch_fast(texts, add_special_tokens=False)
        ]
        return np.concatenate([np.zeros(0, dtype=np.int32), *pieces])


def load_tokenizer(name: str, project: Project) -> Tokenizer:
    """The tokenizer in the folder `name`, seen from the working directory or else from the project's root.

    Raises:
        TokenizerError: no such folder, no or a broken `tokenizer.json`, a special token that it doesn't know.
    """
    folder = project.find(name)
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise TokenizerError(
            f"data.tokenizer: expected a folder with a tokenizer.json, got {name!r}",
            f"levgen ships one: copy {data_dir() / 'tokenizer'}; names on a hub: `--engine levanter` serves them",
        )
    content = path.read_bytes()
    try:
        fast = FastTokenizer.from_buffer(content)
    except Exception as error:  # the library raises nothing more exact
        raise TokenizerError(f"{path} is not a tokenizer: {error}") from error
    settings, settings_content = _settings(folder / "tokenizer_config.json")
    return Tokenizer(
        folder,
        fast,
        bos_id=_special(fast, settings, "bos_token", folder),
        eos_id=_special(fast, settings, "eos_token", folder),
        digest=hashlib.sha256(content + settings_content).hexdigest(),
    )


def _settings(path: Path) -> tuple[dict[str, Any], bytes]:
    if not path.is_file():
        return {}, b""
    content = path.read_bytes()
    try:
        settings = json.loads(content)
    except ValueError as error:
        raise TokenizerError(f"{path} is not JSON: {error}") from error
    if not isinstance(settings, dict):
        raise TokenizerError(f"{path}: expected an object, got {type(settings).__name__}")
    return settings, content


def _special(fast: FastTokenizer, settings: dict[str, Any], key: str, folder: Path) -> int | None:
    token = settings.get(key)
    if isinstance(token, dict):  # transformers writes an AddedToken so
        token = token.get("content")
    if token is None:
        return None
    found = fast.token_to_id(token)
    if found is None:
        raise TokenizerError(f"{folder}: tokenizer_config.json names {key} {token!r}, which tokenizer.json hasn't got")
    return found
