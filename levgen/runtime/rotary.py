"""Rotary position embeddings: every kind that transformers 5 knows by `rope_type`, computed as it computes them.

Source: transformers.modeling_rope_utils. RoPE: https://arxiv.org/abs/2104.09864, YaRN: https://arxiv.org/abs/2309.00071,
LongRoPE: https://arxiv.org/abs/2402.13753.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray

from levgen.errors import LevgenError, did_you_mean
from levgen.runtime.rotary_frequencies import exponents, frequencies, rotary_dim, yarn_scale

Kind = Literal["default", "linear", "dynamic", "yarn", "llama3", "longrope", "proportional"]
Layout = Literal["half", "interleaved"]

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
    "yarn": (
        "attention_factor",
        "beta_fast",
        "beta_slow",
        "mscale",
        "mscale_all_dim",
        "truncate",
        "query_scaling",
    ),
    "longrope": ("attention_factor", "factor", "max_position_embeddings"),
    "proportional": ("factor",),
}
_HF_NAMES = {
    "theta": "rope_theta",
    "kind": "rope_type",
    "fraction": "partial_rotary_factor",
    "query_scaling": "llama_4_scaling_beta",
}


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
    # How much longer queries get for each e-fold of positions beyond the original length: see `scaled_queries`.
    query_scaling: float | None = None

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
            elif key == "max_position_embeddings":
                continue  # a copy of the config's own, which is what counts
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
            pos_ids: {..., position} int, over axes of `x`; negative ones turn backwards. `dynamic` and `longrope`
                depend on the largest of them.
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

    def scaled_queries(self, q: NamedArray, pos_ids: NamedArray) -> NamedArray:
        """`q` {..., position, ...} times 1 + query_scaling * log(1 + position // original_max_position_embeddings)."""
        if self.query_scaling is None or self.original_max_position_embeddings is None:
            return q
        turns = jnp.floor(pos_ids.array.astype(jnp.float32) / self.original_max_position_embeddings)
        factor = NamedArray(1 + self.query_scaling * jnp.log(1 + turns), pos_ids.axes)
        return q * factor.astype(q.dtype)

    @property
    def score_scaling(self) -> float:
        """What scores of latent attention are multiplied by beside their scale: 1 but for `yarn` with mscale_all_dim.

        It belongs to the scores of the part that doesn't turn as well, which cosine and sine don't reach.
        """
        if self.kind != "yarn" or not self.mscale_all_dim:
            return 1.0
        assert self.factor is not None  # validated
        return yarn_scale(self.factor, self.mscale_all_dim) ** 2

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
                return yarn_scale(self.factor, self.mscale) / yarn_scale(self.factor, self.mscale_all_dim)
            return yarn_scale(self.factor, 1.0)
        original, factor = self.original_max_position_embeddings, self.factor
        assert original is not None  # validated
        if factor is None:
            assert self.max_position_embeddings is not None  # validated
            factor = self.max_position_embeddings / original
        return 1.0 if factor <= 1.0 else math.sqrt(1 + math.log(factor) / math.log(original))

    def _inverse_frequencies(self, head_size: int, pos_ids: jax.Array) -> jax.Array:
        """fp32, one for each pair of dimensions that turns."""
        usual, long = frequencies(self, head_size)
        length = jnp.abs(pos_ids).max() + 1
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
        dim = rotary_dim(self, head_size)
        theta = self.theta * (factor * length.astype(jnp.float32) / longest - (factor - 1)) ** (dim / (dim - 2))
        # The barrier keeps XLA from turning 1 / theta^e into theta^-e, which rounds once where the reference rounds
        # twice: an ulp here is 2e-4 of an angle at position 4096.
        powers: jax.Array = jax.lax.optimization_barrier(theta ** jnp.asarray(exponents(dim, dim)))
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


def _validate(rotary: Rotary) -> None:
    kinds = get_args(Kind)
    if rotary.kind not in kinds:
        raise LevgenError(
            f"Unknown kind of rotary positions {rotary.kind!r}.",
            did_you_mean(str(rotary.kind), kinds) or f"Known are {', '.join(kinds)}.",
        )
    required, optional = _REQUIRED[rotary.kind], _OPTIONAL.get(rotary.kind, ())
    every = {"theta", "kind", "fraction"}
    given = [f.name for f in fields(rotary) if f.name not in every and getattr(rotary, f.name) is not None]
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
