"""Fields that a config class reads and doesn't name: a `config.json` has to state them, or no model is built."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from levgen.reference.find import Found

_MISSING = re.compile(r"'(\w+)' object has no attribute '(\w+)'")
_VALUES = (1.0, 1, True, "")
_MOST = 4


def with_given(found: Found) -> Found:
    """`found` with values for fields without which its class builds no model, of the config or of one in it; the same
    where it builds, or fails for another reason."""
    given: dict[str, Any] = {}
    for _ in range(_MOST):
        missing = _missing(found, given)
        if missing is None:
            break
        further = (value for value in _VALUES if _missing(found, {**given, missing: value}) != missing)
        value = next(further, None)
        if value is None:
            break
        given[missing] = value
    if not given or _missing(found, given) is not None:
        return found
    held: dict[str, Any] = dict(found.values)
    for path, value in given.items():
        *above, last = path.split(".")
        inside = held
        for name in above:
            inside[name] = dict(inside.get(name) or {})
            inside = inside[name]
        inside[last] = value
    return replace(found, values=held, given=(*found.given, *given))


def _missing(found: Found, given: Mapping[str, Any]) -> str | None:
    """The path of a field that isn't there as a model is built; None where that isn't why it fails."""
    import torch

    config = found.config(**given)
    try:
        with torch.device("meta"):
            found.model_class(config)
    except AttributeError as error:
        seen = _MISSING.search(str(error))
        if seen is None:
            return None
        holders = {type(config).__name__: "", **{type(v).__name__: f"{n}." for n, v in vars(config).items()}}
        above = holders.get(seen[1])
        return None if above is None else f"{above}{seen[2]}"
    except Exception:  # whatever else a reference wants is for those who look for a tiny config
        return None
    return None
