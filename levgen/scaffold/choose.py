"""Which architecture a new model is written from: a card, a checkpoint's config, or stubs."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from levgen.architecture.catalogue import find, get, near_types
from levgen.architecture.schema import Architecture
from levgen.architecture.settings import apply_settings
from levgen.errors import LevgenError
from levgen.scaffold.blank import blank
from levgen.scaffold.complete import complete
from levgen.scaffold.names import ModelName


@dataclass(frozen=True)
class Choice:
    """An architecture, and what the user should know about it."""

    architecture: Architecture
    notes: tuple[str, ...] = ()

    @property
    def is_blank(self) -> bool:
        return bool(self.architecture.stubs)


def choose(name: ModelName, *, like: str | None, source: Path | None, settings: Sequence[str]) -> Choice:
    """The architecture for `name`: of the folder `source`, of the type `like`, of the card of that name, or stubs.

    Raises LevgenError where `like` or `source` name nothing that levgen knows, and where a setting doesn't fit.
    """
    if source is not None:
        card = _from_folder(source, like)
    elif like is not None:
        card = get(like)
    else:
        found = find(name.snake)
        if found is None:
            return _stubs(name, settings)
        card = found
    changed = complete(apply_settings(card, settings))
    notes = []
    if card.reference is not None and changed.reference is None:
        notes.append(
            f"no model of transformers has this architecture any more: {name.snake} has no parity tests, "
            f"and its checkpoints are of its own type"
        )
    return Choice(changed, tuple(notes))


def _from_folder(source: Path, like: str | None) -> Architecture:
    from levgen.reference.hf_config import architecture_of, read_hf_config, with_dimensions_of

    data = read_hf_config(source)
    if like is not None and like.replace("-", "_") != data["model_type"].replace("-", "_"):
        raise LevgenError(f"--like {like} contradicts --from {source}, which is of type {data['model_type']!r}")
    if data.get("auto_map"):
        raise LevgenError(
            f"{source}/config.json asks for code of its own (auto_map), which levgen doesn't run",
            f"remove auto_map if the standard {data['model_type']} of transformers is meant",
        )
    return with_dimensions_of(architecture_of(data), data)


def _stubs(name: ModelName, settings: Sequence[str]) -> Choice:
    near = near_types(name.snake)
    notes = [f"levgen has no card for {name.snake!r}: every module is a stub for you to write"]
    if near:
        notes.append(f"known types with a near name: {', '.join(near)} (take one with --like)")
    if _in_transformers(name):
        notes.append(f"transformers has a model called {name.snake}, and levgen has no card for it yet")
    return Choice(complete(apply_settings(blank(name), settings)), tuple(notes))


def _in_transformers(name: ModelName) -> bool:
    """Whether transformers has a folder of that name; found without importing it, which takes seconds."""
    spec = importlib.util.find_spec("transformers")
    return spec is not None and any(
        (Path(folder) / "models" / name.snake).is_dir() for folder in spec.submodule_search_locations or []
    )
