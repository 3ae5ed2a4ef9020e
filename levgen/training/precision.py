"""Mixed precision: `p=f32,c=bfloat16`, the dtype of the parameters and that of the computation. Needs no jax."""

from dataclasses import dataclass

from levgen.errors import LevgenError, did_you_mean

_NAMES = {
    "f32": "float32",
    "float32": "float32",
    "full": "float32",
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
    "f16": "float16",
    "float16": "float16",
}
_PARTS = {
    "p": "params",
    "params": "params",
    "c": "compute",
    "compute": "compute",
    "o": "output",
    "output": "output",
}


_LEVANTERS = ("half", "f64", "float64")


class UnservedPrecisionError(LevgenError):
    """A policy that Levanter has and the local engine hasn't."""


@dataclass(frozen=True)
class Precision:
    """dtypes by name. The optimiser's state has that of the parameters; the loss is always float32."""

    params: str = "float32"
    compute: str = "float32"


def parse_precision(text: str) -> Precision:
    """The policy that Levanter's `mp` describes: one dtype for all, or `p=...,c=...`.

    Raises:
        UnservedPrecisionError: `half`, 64 bits, or an output that is not float32: the loss is float32 always.
        LevgenError: an unknown part or dtype, or a part given twice.
    """
    if "=" not in text:
        return Precision(_dtype(text), _dtype(text))
    dtypes: dict[str, str] = {}
    for item in text.split(","):
        name, _, value = item.strip().partition("=")
        if name not in _PARTS:
            raise LevgenError(f"unknown part {name!r} in {text!r}; parts: p (parameters), c (compute)")
        if _PARTS[name] in dtypes:
            raise LevgenError(f"{_PARTS[name]} is given twice in {text!r}")
        dtypes[_PARTS[name]] = _dtype(value)
    if dtypes.get("output", "float32") != "float32":
        raise UnservedPrecisionError(f"an output of {dtypes['output']} (here: float32)")
    params = dtypes.get("params", "float32")
    return Precision(params, dtypes.get("compute", params))


def _dtype(name: str) -> str:
    if name in _LEVANTERS:
        raise UnservedPrecisionError(f"{name} (here: f32, bf16, f16)")
    if name not in _NAMES:
        raise LevgenError(f"unknown dtype {name!r}; {did_you_mean(name, _NAMES) or 'known: ' + ', '.join(_NAMES)}")
    return _NAMES[name]
