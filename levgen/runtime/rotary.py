"""Rotary position embeddings: every kind that transformers 5 knows by `rope_type`, computed as it computes them.

Source: transformers.modeling_rope_utils. RoPE: https://arxiv.org/abs/2104.09864, YaRN: https://arxiv.org/abs/2309.00071,
LongRoPE: https://arxiv.org/abs/2402.13753.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, cast, get_args

import jax
import jax.numpy as jnp
import numpy as np
from haliax import Axis, NamedArray

from levgen.errors import LevgenError, did_you_mean

Kind = Literal["default", "linear", "dynamic", "yarn", "llama3", "longrope", "proportional"]
Layout = Literal["half", "interleaved"]
_Floats = np.ndarray[tuple[int], np.dtype[np.float32]]

# What each kind reads beside theta and the fraction: what it can't do without, and what has a default.
_REQUIRED: dict[str, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor", "max_position_embeddings"),
    "yarn": ("factor", "original_max_position_embeddings"),
    "llama3": ("factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor"),
    "longrope": ("short_factor", "long_factor", "original_max_position_embeddings"),
    "proportional": (),
}
_OPTIONAL: dict[str, tuple[str, ...]] = {
    "yarn": ("attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"),
    "longrope": ("attention_factor", "factor", "max_position_embeddings"),
    "proportional": ("factor",),
}
_HF_NAMES = {"theta": "rope_theta", "kind": "rope_type", "fraction": "partial_rotary_factor"}


@dataclass(frozen=True)
class Rotary:
    """Hyperparameters of rotary positions. None is 'not set': the kind's default holds, and HF's dict lacks the key.

    `rope(x, pos_ids, HeadSize)` rotates. `kind` is transformers' rope_type and `fraction` its partial_rotary_factor
    (the share of a head's dimensions that turns; None is all of them); the other names are transformers' own.

    Raises:
        LevgenError: at construction, for a kind that isn't known, a value that its kind needs and hasn't got, one that
            its kind doesn't read, or one out of range.
    """

    theta: float = 10000.0
    kind: Kind = "default"
    fraction: float | None = None
    factor: float | None = None
    original_max_position_embeddings: int | None = None
    # The config's own maximum length: what `dynamic` grows from, and `longrope` without a factor is scaled by.
    max_position_embeddings: int | None = None
    attention_factor: float | None = None
    beta_fast: float | None = None
    beta_slow: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool | None = None
    low_freq_factor: float | None = None
    high_freq_factor: float | None = None
    short_factor: tuple[float, ...] | None = None
    long_factor: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("short_factor", "long_factor"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, tuple(value))
        _validate(self)

    @staticmethod
    def from_hf(rope_parameters: Mapping[str, Any], *, max_seq_len: int) -> "Rotary":
        """The Rotary of a standardised `config.rope_parameters`. `max_seq_len`: the config's max_position_embeddings.

        Raises:
            LevgenError: a key or a kind that isn't known, or a dict that holds one set of parameters a layer type.
        """
        nested = [key for key, value in rope_parameters.items() if isinstance(value, Mapping)]
        if nested:
            raise LevgenError(
                f"These rope parameters are nested by layer type ({', '.join(nested)}).",
                "Give each layer type a Rotary of its own, made from its own entry.",
            )
        ours = {hf: name for name, hf in _HF_NAMES.items()}
        known = [_HF_NAMES.get(field.name, field.name) for field in fields(Rotary)]
        known.remove("max_position_embeddings")  # comes from the config, not from its rope parameters
        values: dict[str, Any] = {}
        for key, value in rope_parameters.items():
            if key == "type" and value == rope_parameters.get("rope_type", value):
                values.setdefault("kind", value)  # the name of rope_type before transformers 4.43
            elif key not in known:
                raise LevgenError(
                    f"Unknown rope parameter '{key}' (= {value!r}).",
                    did_you_mean(key, known) or f"Known are {', '.join(known)}.",
                )
            elif value is not None:
                values[ours.get(key, key)] = value
        if "theta" not in values:
            raise LevgenError(
                "The rope parameters have no 'rope_theta'.", "Take config.rope_parameters of transformers 5."
            )
        kind, original = values.get("kind", "default"), values.get("original_max_position_embeddings")
        if kind == "yarn" and "factor" not in values and original:
            values["factor"] = max_seq_len / original
        if kind == "dynamic" or (kind == "longrope" and "factor" not in values):
            values["max_position_embeddings"] = max_seq_len
        return Rotary(**values)

    def to_hf(self) -> dict[str, Any]:
        """`config.rope_parameters` as transformers 5 holds it: what `from_hf` read comes back as it was."""
        values = {
            _HF_NAMES.get(field.name, field.name): getattr(self, field.name)
            for field in fields(self)
            if field.name != "max_position_embeddings"
        }
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value is not None
        }

    def __call__(self, x: NamedArray, pos_ids: NamedArray, HeadSize: Axis, layout: Layout = "half") -> NamedArray:
        """Rotate `x` {..., position, head_size} by its positions, in fp32; the result has x's axes, order and dtype.

        Args:
            pos_ids: {..., position} int, over axes of `x`. `dynamic` and `longrope` depend on the largest of them.
            HeadSize: the axis that turns. The first `fraction` of it does, the rest passes.
            layout: "half" pairs dimension i with i + half (Llama), "interleaved" 2i with 2i + 1 (GPT-J, Cohere, GLM).

        Raises:
            LevgenError: an unknown layout, an axis that `x` lacks, or an odd number of dimensions to turn.
        """
        if layout not in get_args(Layout):
            raise LevgenError(f"A rotary layout is 'half' or 'interleaved', not {layout!r}.")
        if any(axis not in x.axes for axis in (*pos_ids.axes, HeadSize)):
            raise LevgenError(
                f"Rotary positions over {pos_ids.axes} and {HeadSize} can't turn an array with the axes {x.axes}.",
                "x must have every axis of the positions, at the same size, and the head size.",
            )
        inv_freq = self._inverse_frequencies(HeadSize.size, pos_ids.array)
        rest = [axis for axis in x.axes if axis != HeadSize]
        own = tuple(axis for axis in rest if axis in pos_ids.axes)
        positions = pos_ids.rearrange(own).array.reshape([axis.size if axis in own else 1 for axis in rest])
        angles = positions[..., None].astype(jnp.float32) * inv_freq
        scaling = self.attention_scaling
        rotated = _rotate(
            x.rearrange((*rest, HeadSize)).array, jnp.cos(angles) * scaling, jnp.sin(angles) * scaling, layout
        )
        return NamedArray(rotated, (*rest, HeadSize)).rearrange(x.axes)

    @property
    def attention_scaling(self) -> float:
        """What cosine and sine are multiplied by: 1 but for `yarn` and `longrope`."""
        if self.kind not in ("yarn", "longrope"):
            return 1.0
        if self.attention_factor is not None:
            return self.attention_factor
        if self.kind == "yarn":
            assert self.factor is not None  # validated
            if self.mscale and self.mscale_all_dim:
                return _yarn_scale(self.factor, self.mscale) / _yarn_scale(self.factor, self.mscale_all_dim)
            return _yarn_scale(self.factor, 1.0)
        original, factor = self.original_max_position_embeddings, self.factor
        assert original is not None  # validated
        if factor is None:
            assert self.max_position_embeddings is not None  # validated
            factor = self.max_position_embeddings / original
        return 1.0 if factor <= 1.0 else math.sqrt(1 + math.log(factor) / math.log(original))

    def _inverse_frequencies(self, head_size: int, pos_ids: jax.Array) -> jax.Array:
        """fp32, one for each pair of dimensions that turns."""
        usual, long = _frequencies(self, head_size)
        length = pos_ids.max() + 1
        if self.kind == "longrope":
            assert self.original_max_position_embeddings is not None  # validated
            return jnp.where(length > self.original_max_position_embeddings, long, usual)
        if self.kind == "dynamic":
            assert self.max_position_embeddings is not None  # validated
            return jnp.where(length > self.max_position_embeddings, self._grown(head_size, length), usual)
        return jnp.asarray(usual)

    def _grown(self, head_size: int, length: jax.Array) -> jax.Array:
        """The frequencies of `dynamic` at a length beyond the maximum: theta grows with the length."""
        factor, longest = self.factor, self.max_position_embeddings
        assert factor is not None  # validated
        assert longest is not None
        dim = _rotary_dim(self, head_size)
        theta = self.theta * (factor * length.astype(jnp.float32) / longest - (factor - 1)) ** (dim / (dim - 2))
        # The barrier keeps XLA from turning 1 / theta^e into theta^-e, which rounds once where the reference rounds
        # twice: an ulp here is 2e-4 of an angle at position 4096.
        powers: jax.Array = jax.lax.optimization_barrier(theta ** jnp.asarray(_exponents(dim, dim)))
        return 1.0 / powers


def _rotate(x: jax.Array, cos: jax.Array, sin: jax.Array, layout: Layout) -> jax.Array:
    """`x` [..., head_size], `cos` and `sin` [..., pairs] fp32: turn the first 2 * pairs dimensions."""
    pairs = cos.shape[-1]
    turning, passing = x[..., : 2 * pairs].astype(jnp.float32), x[..., 2 * pairs :]
    if layout == "half":
        first, second = turning[..., :pairs], turning[..., pairs:]
    else:
        first, second = turning[..., 0::2], turning[..., 1::2]
    turned = (first * cos - second * sin, second * cos + first * sin)
    if layout == "half":
        rotated = jnp.concatenate(turned, axis=-1)
    else:
        rotated = jnp.stack(turned, axis=-1).reshape(turning.shape)
    rotated = rotated.astype(x.dtype)
    return jnp.concatenate((rotated, passing), axis=-1) if passing.shape[-1] else rotated


def _rotary_dim(rotary: Rotary, head_size: int) -> int:
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


def _exponents(dim: int, size: int) -> _Floats:
    return np.arange(0, dim, 2, dtype=np.float32) / np.float32(size)


@functools.lru_cache(maxsize=64)
def _frequencies(rotary: Rotary, head_size: int) -> tuple[_Floats, _Floats]:
    """Inverse frequencies in fp32, each operation rounded as in the reference: the usual ones, and longrope's long.

    Powers are taken in fp64 and rounded to fp32, which agrees with torch's fp32 power in 99.2% of frequencies, and the
    rest differ by one ulp (numpy's own fp32 power agrees in 83%).
    """
    dim = _rotary_dim(rotary, head_size)
    size = head_size if rotary.kind == "proportional" else dim
    powers = np.power(float(rotary.theta), _exponents(dim, size).astype(np.float64)).astype(np.float32)
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


def _longrope(factors: Any, powers: _Floats) -> _Floats:
    if len(factors) != len(powers):
        raise LevgenError(
            f"longrope needs a factor for each of the {len(powers)} pairs that turn, and short_factor or long_factor "
            f"has {len(factors)}."
        )
    return np.float32(1.0) / (np.asarray(factors, dtype=np.float32) * powers)


def _yarn_scale(factor: float, mscale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0


def _yarn(rotary: Rotary, dim: int, powers: _Floats) -> _Floats:
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
    return cast(_Floats, interpolated * (np.float32(1.0) - kept) + extrapolated * kept)


def _llama3(rotary: Rotary, inverse: _Floats) -> _Floats:
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
    return cast(_Floats, np.where(medium, between, scaled))


def _validate(rotary: Rotary) -> None:
    kinds = get_args(Kind)
    if rotary.kind not in kinds:
        raise LevgenError(
            f"Unknown kind of rotary positions {rotary.kind!r}.",
            did_you_mean(str(rotary.kind), kinds) or f"Known are {', '.join(kinds)}.",
        )
    required, optional = _REQUIRED[rotary.kind], _OPTIONAL.get(rotary.kind, ())
    given = [f.name for f in fields(rotary) if f.name not in _HF_NAMES and getattr(rotary, f.name) is not None]
    missing = [name for name in required if name not in given]
    if rotary.kind == "longrope" and rotary.factor is None and rotary.max_position_embeddings is None:
        missing.append("factor")
    if missing:
        raise LevgenError(f"Rotary positions of kind '{rotary.kind}' need {', '.join(missing)}.")
    unread = [name for name in given if name not in (*required, *optional)]
    if unread:
        reads = ", ".join((*required, *optional)) or "nothing but theta and the fraction"
        raise LevgenError(
            f"Rotary positions of kind '{rotary.kind}' don't read {', '.join(unread)}.",
            f"It reads {reads}: choose another kind, or leave these out.",
        )
    for name in ("theta", "factor", "original_max_position_embeddings", "max_position_embeddings"):
        value = getattr(rotary, name)
        if value is not None and value <= 0:
            raise LevgenError(f"Rotary positions need a positive {name}, not {value}.")
    if rotary.fraction is not None and not 0.0 < rotary.fraction <= 1.0:
        raise LevgenError(f"The fraction of a head that turns lies between 0 and 1, and this one is {rotary.fraction}.")
    low, high = rotary.low_freq_factor, rotary.high_freq_factor
    if low is not None and high is not None and high <= low:
        raise LevgenError(f"high_freq_factor ({high}) must be greater than low_freq_factor ({low}).")
