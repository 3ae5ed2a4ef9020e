"""A value as the text of a card, which reaches docstrings and comments of generated files."""

from typing import Any

_CUT = " ..."


def card_text(value: Any, length: int = 80) -> str:
    """`value` as a card's text may hold it; what is longer than `length` characters ends with a word and dots."""
    said = "".join(c for c in str(value) if c not in "\"'\\{}\n")
    if len(said) <= length:
        return said
    kept = said[: length - len(_CUT)]
    return (kept.rpartition(" ")[0] or kept).rstrip(" ,") + _CUT
