"""`python -m levgen.survey.cards TYPE ...`: rebuilds shipped cards from surveys, or with `--check` compares them.

An experiment doesn't say what a model is called, which papers describe it, which sizes suit a test or a laptop, those
at full size that the config class leaves open, and which fields of older checkpoints the config class has forgotten.
These are kept as the shipped card has them, and so are a person's reasons why a field is ignored, and a field that a
person fixed although nothing moved with it.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from levgen.architecture.answers import plain
from levgen.architecture.card import as_data, dump_card, parse_card
from levgen.architecture.catalogue import card_path, find, known_types
from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError
from levgen.survey.config.sizes import SIZES

# Of a hyperparameter: values for tests and for a laptop, which are a person's choice.
_CHOSEN = ("tiny", "nano")


def main(arguments: list[str] | None = None) -> int:
    """0 where every card is rebuilt, or with `--check` equals what is shipped; 1 otherwise, 2 for a usage error."""
    parser = argparse.ArgumentParser(prog="python -m levgen.survey.cards", description=__doc__)
    parser.add_argument("types", nargs="*", metavar="TYPE", help="model types of transformers")
    parser.add_argument("--all", action="store_true", help="every type that has a card")
    parser.add_argument("--check", action="store_true", help="write nothing: show how rebuilt cards differ")
    given = parser.parse_args(arguments)
    if bool(given.types) == given.all:
        parser.error("name types, or give --all")
    types = given.types or [shipped_type(stem) for stem in known_types()]
    if len(types) > 1:  # each in a process of its own: what one reference leaves behind is no part of the next
        flags = ["--check"] if given.check else []
        command = [sys.executable, "-W", "ignore", "-m", "levgen.survey.cards", *flags]
        return max(subprocess.run([*command, model_type], check=False).returncode for model_type in types)
    try:
        return _one(types[0], check=given.check)
    except LevgenError as error:
        print(error, file=sys.stderr)
        return 2


def _one(model_type: str, *, check: bool) -> int:
    from levgen.survey import survey

    shipped = find(model_type)
    found = survey(model_type)
    if found.architecture is None:
        unknown = "; ".join(f"{u.question}: {u.observed}" for u in found.unknown)
        print(f"{model_type}: not rebuilt: {unknown}")
        return 1
    card = rebuilt(shipped, found.architecture)
    differing = [] if shipped is None else list(differences(shipped, card))
    for line in differing or (["equals the shipped card"] if shipped else ["no card was shipped"]):
        print(f"{model_type}: {line}")
    if check:
        return 1 if differing or shipped is None else 0
    path: Path = card_path(model_type)
    path.write_text(dump_card(card), encoding="utf-8")
    print(f"{model_type}: wrote {path}")
    return 0


def shipped_type(stem: str) -> str:
    """The model type in transformers of the card in the file `stem`."""
    card = find(stem)
    return stem if card is None or card.reference is None else card.reference.model_type


def differences(shipped: Architecture, found: Architecture) -> Iterator[str]:
    """How the answers of a rebuilt card differ from the shipped one's, a line each."""
    yield from _differing("", answers(shipped), answers(found))


def answers(architecture: Architecture) -> dict[str, Any]:
    """All that an experiment tells: no title, papers, sizes for tests, or reasons why a field is ignored."""
    data: dict[str, Any] = plain(architecture)
    del data["title"], data["papers"]
    data["ignored"] = sorted(data["ignored"])
    data["given"] = sorted(data["given"])
    for parameter in data["hyperparameters"].values():
        parameter.update(dict.fromkeys(("default", *_CHOSEN) if parameter["open"] else _CHOSEN))
    return data


def rebuilt(shipped: Architecture | None, found: Architecture) -> Architecture:
    """`found` with what no experiment tells as `shipped` has it."""
    if shipped is None:
        return found
    data, kept = as_data(found), as_data(shipped)
    data = {**data, "title": kept["title"], "papers": kept.get("papers", [])}
    own = kept["hyperparameters"]
    for name, parameter in list(data["hyperparameters"].items()):
        if name in own:
            kept_keys = ("default", *_CHOSEN) if parameter.get("open") else _CHOSEN
            chosen = {key: own[name][key] for key in kept_keys if key in own[name]}
            # What None means is found of sizes only.
            meant = {"unset": own[name]["unset"]} if "unset" in own[name] and name not in SIZES else {}
            data["hyperparameters"][name] = meant | {k: v for k, v in parameter.items() if k not in _CHOSEN} | chosen
    ignored, fixed, derived = ({**data.get(key, {})} for key in ("ignored", "fixed", "derived"))
    read = {str(parameter.get("hf")).partition(".")[0] for parameter in data["hyperparameters"].values()}
    # What a person says of a field with which nothing moved, or which the config class doesn't name.
    told = {*fixed, *derived, *read}
    said = {
        key: {n: v for n, v in kept.get(key, {}).items() if n not in told} for key in ("fixed", "derived", "ignored")
    }
    data["fixed"], data["derived"] = fixed | said["fixed"], derived | said["derived"]
    settled = {*data["fixed"], *data["derived"]}
    data["ignored"] = {name: why for name, why in (ignored | said["ignored"]).items() if name not in settled}
    given: dict[str, Any] = data.get("given", {})
    data["given"] = given | {n: v for n, v in kept.get("given", {}).items() if n in given}
    data = _in_order(data, kept)
    return parse_card(data, source="the rebuilt card")


def _in_order(data: Any, model: Any) -> Any:
    """`data` with the keys of its mappings in the order of `model`'s, those that it lacks at the end."""
    if not isinstance(data, dict) or not isinstance(model, dict):
        return data
    order = [*(key for key in model if key in data), *data]
    return {key: _in_order(data[key], model.get(key)) for key in dict.fromkeys(order)}


def _differing(path: str, shipped: Any, found: Any) -> Iterator[str]:
    if isinstance(shipped, dict) and isinstance(found, dict):
        for name in dict.fromkeys([*shipped, *found]):
            below = f"{path}.{name}" if path else name
            yield from _differing(below, shipped.get(name), found.get(name))
    elif shipped != found:
        yield f"{path}: shipped {shipped!r}, rebuilt {found!r}"


if __name__ == "__main__":
    sys.exit(main())
