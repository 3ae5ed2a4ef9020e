"""Builds the files of this folder: `python levgen/training/data/build.py`, under Python 3.11.

The text is a part of the documentation that Python installs with itself (`pydoc_data.topics`), so that nothing is
fetched. Another version of Python has another text: commit what this writes together with the version in README.md.
"""

import json
import re
from pathlib import Path
from pydoc_data.topics import topics

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

HERE = Path(__file__).parent
EOS, PAD = "<|endoftext|>", "<|padding|>"
VALIDATION_EVERY = 12  # documents


def byte_symbols() -> list[str]:
    """The character by which the `ByteLevel` pre-tokenizer writes each of the 256 bytes, in the order of the bytes.

    Printable bytes of latin-1 stand for themselves; the others follow from U+0100 on (GPT-2's table).
    """
    symbols, beyond = [], 256
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255:
            symbols.append(chr(byte))
        else:
            symbols.append(chr(beyond))
            beyond += 1
    return symbols


def byte_tokenizer() -> Tokenizer:
    """A token is a byte of UTF-8, and its id is that byte; then end of text (256) and padding (257)."""
    vocabulary = {symbol: byte for byte, symbol in enumerate(byte_symbols())}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(EOS, special=True), AddedToken(PAD, special=True)])
    return tokenizer


def is_prose(paragraph: str) -> bool:
    """Whether `paragraph` is sentences rather than grammar rules, tables or code."""
    if len(paragraph) < 160 or not paragraph[0].isupper() or paragraph[-1] not in ".!?:":
        return False
    if ">>>" in paragraph or "::=" in paragraph or "|" in paragraph:
        return False
    return sum(character.isalpha() or character == " " for character in paragraph) > 0.9 * len(paragraph)


def documents() -> list[str]:
    """One document a topic: its paragraphs of prose, each paragraph once in the whole text."""
    seen: set[str] = set()
    found = []
    for name in sorted(topics):
        paragraphs = []
        for block in re.split(r"\n\s*\n", topics[name]):
            paragraph = " ".join(block.split())
            if is_prose(paragraph) and paragraph not in seen:
                seen.add(paragraph)
                paragraphs.append(paragraph)
        if paragraphs:
            found.append("\n\n".join(paragraphs))
    return found


def write_jsonl(path: Path, texts: list[str]) -> None:
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts]
    path.write_text("".join(lines), encoding="utf-8")


def write_text(folder: Path) -> None:
    """`train.jsonl` and `validation.jsonl`: every twelfth document is kept for validation."""
    every = documents()
    write_jsonl(folder / "train.jsonl", [text for i, text in enumerate(every) if i % VALIDATION_EVERY])
    write_jsonl(folder / "validation.jsonl", every[::VALIDATION_EVERY])


def write_tokenizer(folder: Path) -> None:
    """`tokenizer.json` and the `tokenizer_config.json` that transformers and Levanter read beside it."""
    folder.mkdir(exist_ok=True)
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": EOS, "pad_token": PAD}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_text(HERE)
    write_tokenizer(HERE / "tokenizer")
