"""The frequencies of rotary positions, each kind computed and rounded as transformers does.

Source: transformers.modeling_rope_utils.
"""

import functools
import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from levgen.errors import LevgenError

if TYPE_CHECKING:
    from levgen.runtime.rotary import Rotary

Floats = np.ndarray[tuple[int], np.dtype[np.float32]]


def rotary_dim(rotary: "Rotary", head_size: int) -> int:
    """How many of a head's dimensions turn."""
    fraction = 1.0 if rotary.fraction is None else rotary.fraction
    if rotary.kind == "proportional":
        return 2 * int(fraction * head_size // 2)
    dim = int(head_size * fraction)
    least = 4 if rotary.kind == "dynamic" else 2
    if dim % 2 or dim < least:
        raise LevgenError(
            f"Rotary positions turn pairs of dimensions, and {fraction} of a head of {head_size} is {dim}.",
            f"Choose a fraction that gives an even number, at least {least}.",
        )
    return dim


def exponents(dim: int, size: int) -> Floats:
    return np.arange(0, dim, 2, dtype=np.float32) / np.float32(size)


@functools.lru_cache(maxsize=64)
def frequencies(rotary: "Rotary", head_size: int) -> tuple[Floats, Floats]:
    """Inverse frequencies in fp32, each operation rounded as in the reference: the usual ones, and longrope's long.

    Powers are taken in fp64 and rounded to fp32, which agrees with torch's fp32 power in 99.2% of frequencies, and the
    rest differ by one ulp (numpy's own fp32 power agrees in 83%).
    """
    dim = rotary_dim(rotary, head_size)
    size = head_size if rotary.kind == "proportional" else dim
    powers = np.power(float(rotary.theta), exponents(dim, size).astype(np.float64)).astype(np.float32)
    inverse = np.float32(1.0) / powers
    match rotary.kind:
        case "linear":
            inverse = inverse / np.float32(rotary.factor)
        case "yarn":
            inverse = _yarn(rotary, dim, powers)
        case "llama3":
            inverse = _llama3(rotary, inverse)
        case "longrope":
            return _longrope(rotary.short_factor, powers), _longrope(rotary.long_factor, powers)
        case "proportional":
            still = np.zeros(head_size // 2 - dim // 2, dtype=np.float32)
            inverse = np.concatenate((inverse, still)) / np.float32(rotary.factor or 1.0)
    return inverse, inverse


def _longrope(factors: Any, powers: Floats) -> Floats:
    if len(factors) != len(powers):
        raise LevgenError(
            f"longrope needs a factor for each of the {len(powers)} pairs that turn, and short_factor or long_factor "
            f"has {len(factors)}."
        )
    return np.float32(1.0) / (np.asarray(factors, dtype=np.float32) * powers)


def yarn_scale(factor: float, mscale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0


def _yarn(rotary: "Rotary", dim: int, powers: Floats) -> Floats:
    """Interpolate the low frequencies by `factor`, leave the high ones, with a linear ramp between."""
    assert rotary.factor is not None  # validated
    assert rotary.original_max_position_embeddings is not None
    original = rotary.original_max_position_embeddings

    def dimension(rotations: float) -> float:
        """The dimension that turns so many times within the original length."""
        return (dim * math.log(original / (rotations * 2 * math.pi))) / (2 * math.log(rotary.theta))

    low, high = dimension(rotary.beta_fast or 32), dimension(rotary.beta_slow or 1)
    if rotary.truncate is None or rotary.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    if low == high:
        high += 0.001
    ramp = (np.arange(dim // 2, dtype=np.float32) - np.float32(low)) / np.float32(high - low)
    kept = np.float32(1.0) - np.clip(ramp, np.float32(0.0), np.float32(1.0))
    interpolated = np.float32(1.0) / (np.float32(rotary.factor) * powers)
    extrapolated = np.float32(1.0) / powers
    return cast(Floats, interpolated * (np.float32(1.0) - kept) + extrapolated * kept)


def _llama3(rotary: "Rotary", inverse: Floats) -> Floats:
    """Divide the low frequencies by `factor`, leave the high ones, with a smooth step between."""
    assert rotary.original_max_position_embeddings is not None  # validated
    assert rotary.low_freq_factor is not None
    assert rotary.high_freq_factor is not None
    original, low, high = rotary.original_max_position_embeddings, rotary.low_freq_factor, rotary.high_freq_factor
    factor = np.float32(rotary.factor)
    wavelength = np.float32(2 * math.pi) / inverse
    scaled = np.where(wavelength > np.float32(original / low), inverse / factor, inverse)
    smooth = (np.float32(original) / wavelength - np.float32(low)) / np.float32(high - low)
    between = (np.float32(1.0) - smooth) * scaled / factor + smooth * scaled
    medium = (wavelength >= np.float32(original / high)) & (wavelength <= np.float32(original / low))
    return cast(Floats, np.where(medium, between, scaled))
