"""The catalogue: the folder of cards, one for each model type that levgen knows."""

from pathlib import Path

from levgen.architecture.card import read_card
from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError, did_you_mean, nearest
from levgen.resources import templates


def _folder() -> Path:
    return templates() / "architectures"


def known_types() -> list[str]:
    """The model types with a card, sorted."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def card_path(model_type: str) -> Path:
    """The file of the card of `model_type`, whether there is one or not."""
    return _folder() / f"{model_type.replace('-', '_')}.yaml"


def find(model_type: str) -> Architecture | None:
    """The card of `model_type`, or None where there is none."""
    # A name goes into a path only after it was found in the listing: no `../` can be asked for.
    wanted = model_type.replace("-", "_")
    return read_card(card_path(wanted)) if wanted in known_types() else None


def get(model_type: str) -> Architecture:
    """The card of `model_type`. Raises LevgenError with the nearest known types where there is none."""
    card = find(model_type)
    if card is None:
        hint = did_you_mean(model_type, known_types()) or f"known types: {', '.join(known_types())}"
        raise LevgenError(f"no card for the model type {model_type!r}", hint)
    return card


def near_types(model_type: str) -> list[str]:
    """Known types whose names are near `model_type`."""
    return nearest(model_type, known_types())
