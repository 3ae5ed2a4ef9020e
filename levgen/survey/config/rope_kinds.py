"""Which kinds of rotary parameters does the reference take? Its config class is given one of each."""

from typing import Any, get_args

from levgen.architecture.schema import RopeKind
from levgen.reference.tiny import Tiny

_SCALED = {"factor": 4.0, "original_max_position_embeddings": 64}
_OF_KIND: dict[RopeKind, dict[str, Any]] = {
    "default": {},
    "linear": {"factor": 4.0},
    "dynamic": {"factor": 4.0},
    "yarn": _SCALED,
    "llama3": {**_SCALED, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    "longrope": _SCALED,
}


def rope_kinds(tiny: Tiny, hf: str, pairs: int) -> list[RopeKind]:
    """The kinds that the config class takes in its field `hf`. `pairs`: of dimensions that turn together."""
    return [kind for kind in get_args(RopeKind) if takes(tiny, hf, kind, pairs)]


def takes(tiny: Tiny, hf: str, kind: RopeKind, pairs: int) -> bool:
    """Whether the config class takes parameters of one kind."""
    base = getattr(tiny.config(), hf)
    factors = {"short_factor": [1.0] * pairs, "long_factor": [2.0] * pairs} if kind == "longrope" else {}
    try:
        tiny.config(**{hf: {**base, "rope_type": kind, **_OF_KIND[kind], **factors}})
    except Exception:  # whatever a config class raises where it refuses
        return False
    return True
