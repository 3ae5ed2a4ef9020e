"""Fields that a config class reads and doesn't name: a `config.json` has to state them, or no model is built."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from levgen.reference.find import Found, with_entry

_MISSING = re.compile(r"'(\w+)' object has no attribute '(\w+)'")
_VALUES = (1.0, 1, True, "")
_MOST = 4
_BUILDS = ""


def with_given(found: Found) -> Found:
    """`found` with values for fields without which its class builds no model, of the config or of one in it; the same
    where it builds without them, or doesn't with them."""
    given: dict[str, Any] = {}
    missing = _missing(found, given)
    while missing and len(given) < _MOST:
        tried = [({**given, missing: value}, _missing(found, {**given, missing: value})) for value in _VALUES]
        further = next(((more, left) for more, left in tried if left is not None and left != missing), None)
        if further is None:
            return found
        given, missing = further
    if not given or missing != _BUILDS:
        return found
    values = found.values
    for path, value in given.items():
        values = with_entry(values, path.split("."), value)
    return replace(found, values=values, given=(*found.given, *given))


def _missing(found: Found, given: Mapping[str, Any]) -> str | None:
    """The path of a field that isn't there as a model is built, nothing where it is built; None where it fails
    otherwise."""
    import torch

    try:
        config = found.config(**given)
    except Exception:  # whatever a config class refuses
        return None
    try:
        with torch.device("meta"):
            found.model_class(config)
    except AttributeError as error:
        seen = _MISSING.search(str(error))
        inside = {type(held).__name__: f"{name}." for name, held in vars(config).items() if hasattr(held, "to_dict")}
        above = {**inside, type(config).__name__: ""}.get(seen[1]) if seen else None
        return None if seen is None or above is None else f"{above}{seen[2]}"
    except Exception:  # whatever else a reference wants is for those who look for a tiny config
        return None
    return _BUILDS
