"""From documents to sequences: tokens in a row, cut to one length, cached by what they follow from.

As in Levanter, the documents of a component are concatenated, EOS between them, and cut every `seq_len` tokens: no
padding, and a document may go on in the next sequence. The last, shorter piece is dropped.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from levgen.training.batches import Ids
from levgen.training.documents import DataError, find_files, read_rows
from levgen.training.project import Project
from levgen.training.schema import Component, Data, active_components
from levgen.training.tokenizer import Tokenizer, TokenizerError

HELD_OUT = 0.05  # of the training sequences, for evaluation where no validation files are given


@dataclass(frozen=True)
class Sequences:
    """Of one component: sequences to train on and to evaluate on, and a digest of what the first follow from.

    `summary` says how many documents there are for training, and what of them is left out.
    """

    train: Ids
    validation: Ids
    digest: str
    summary: str


@dataclass(frozen=True)
class _Tokens:
    """The tokens of some files; `digest` is of all that they follow from."""

    ids: np.ndarray[Any, np.dtype[np.int32]]
    digest: str
    documents: int
    empty: int  # rows without a text, which are left out

    def summary(self, name: str, seq_len: int) -> str:
        skipped = f" ({_counted(self.empty, 'row')} without text left out)" if self.empty else ""
        count, rest = divmod(len(self.ids), seq_len)
        dropped = f"; the last {_counted(rest, 'token')} fill none" if rest else ""
        sequences = f"{_counted(count, 'sequence')} of {seq_len}"
        return f"data {name!r}: {_counted(self.documents, 'document')}{skipped}, {sequences}{dropped}"


def load_data(data: Data, tokenizer: Tokenizer, *, seq_len: int, project: Project) -> dict[str, Sequences]:
    """The sequences of the components that `data` trains on, by their names.

    Without validation files the last twentieth of the sequences is held out, where there are twenty or more.

    Raises:
        DataError: missing, broken or empty files, or text shorter than a sequence.
        TokenizerError: EOS is asked for and the tokenizer has none.
    """
    if data.enforce_eos and tokenizer.eos_id is None:
        raise TokenizerError(
            f"the tokenizer {data.tokenizer} names no eos_token, which goes between documents",
            "name it in tokenizer_config.json, or set data.enforce_eos: false",
        )
    return {
        name: _load_component(name, component, data, tokenizer, seq_len, project)
        for name, component in active_components(data).items()
    }


def _load_component(
    name: str, component: Component, data: Data, tokenizer: Tokenizer, seq_len: int, project: Project
) -> Sequences:
    cache = None if data.cache_dir is None else project.place(data.cache_dir) / name
    source = component.source
    tokens = _tokens(source.train_urls, component, data, tokenizer, cache, project)
    train = _cut(tokens.ids, seq_len, f"component {name!r}")
    summary = tokens.summary(name, seq_len)
    if source.validation_urls:
        others = _tokens(source.validation_urls, component, data, tokenizer, cache, project)
        return Sequences(train, _cut(others.ids, seq_len, f"the validation files of {name!r}"), tokens.digest, summary)
    held_out = int(len(train) * HELD_OUT)
    return Sequences(train[: len(train) - held_out], train[len(train) - held_out :], tokens.digest, summary)


def _cut(tokens: np.ndarray[Any, np.dtype[np.int32]], seq_len: int, what: str) -> Ids:
    count = len(tokens) // seq_len
    if count == 0:
        raise DataError(
            f"{what} has {len(tokens)} tokens: fewer than one sequence of {seq_len}",
            "give more text, or a smaller train_seq_len",
        )
    return tokens[: count * seq_len].reshape(count, seq_len)


def _tokens(
    urls: list[str], component: Component, data: Data, tokenizer: Tokenizer, cache: Path | None, project: Project
) -> _Tokens:
    """The tokens of the files, read from the cache where it has them."""
    files = find_files(urls, project)
    text_key = component.format.text_key
    digest = hashlib.sha256(f"{tokenizer.digest} {data.enforce_eos} {text_key}".encode())
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    name = digest.hexdigest()[:32]
    cached = None if cache is None else cache / f"{name}.npy"
    if cached is not None and cached.is_file() and _counts(cached).is_file():
        return _Tokens(np.load(cached, mmap_mode="r"), name, **json.loads(_counts(cached).read_text()))
    rows = [text for file in files for text in read_rows(file, text_key)]
    texts = [text for text in rows if text.strip()]
    tokens = _Tokens(
        tokenizer.encode_documents(texts, with_eos=data.enforce_eos), name, len(texts), len(rows) - len(texts)
    )
    if cached is not None:
        _save(cached, tokens)
    return tokens


def _counts(cached: Path) -> Path:
    return cached.with_suffix(".json")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _save(path: Path, tokens: _Tokens) -> None:
    """Written beside and renamed, so that a run that is killed leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part.npy")
    np.save(part, tokens.ids)
    counts = part.with_suffix(".json")
    counts.write_text(json.dumps({"documents": tokens.documents, "empty": tokens.empty}))
    counts.replace(_counts(path))
    part.replace(path)
