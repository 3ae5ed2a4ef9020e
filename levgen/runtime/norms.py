"""Layer norms as transformers computes them: statistics in fp32, the result in the input's dtype."""

import dataclasses
from typing import Self

import equinox as eqx
import haliax as hax
import jax.numpy as jnp
from haliax import Axis, NamedArray
from haliax.axis import AxisSpec
from haliax.state_dict import ModuleWithStateDictSerialization


class _Norm(ModuleWithStateDictSerialization):
    """What the two norms share: gain and bias over `axis`, and their layout in a state dict (one flat axis)."""

    weight: NamedArray | None
    bias: NamedArray | None
    axis: AxisSpec = eqx.field(static=True)
    eps: float = eqx.field(static=True)
    offset: float = eqx.field(static=True)

    def flatten_for_export(self) -> Self:
        if isinstance(self.axis, Axis):
            return self
        flat = hax.flatten_axes(self.axis, "__OUT__")
        # Only the norm's own axes: under a stack the arrays have a layer axis too.
        weight, bias = (
            None if array is None else array.flatten_axes(self.axis, flat) for array in (self.weight, self.bias)
        )
        return dataclasses.replace(self, weight=weight, bias=bias, axis=flat)

    def unflatten_from_export(self, template: Self) -> Self:
        if self.axis == template.axis:
            return self
        weight, bias = (
            array
            if array is None or like is None
            else array.unflatten_axis("__OUT__", template.axis).rearrange(like.axes)
            for array, like in ((self.weight, template.weight), (self.bias, template.bias))
        )
        return dataclasses.replace(self, weight=weight, bias=bias, axis=template.axis)


class RmsNorm(_Norm):
    """x / sqrt(mean(x^2) + eps) * (offset + weight) + bias over `axis`, one axis or several at once.

    With no offset the normalised values are cast to the input's dtype before the product with the weight, as Llama
    does; with one the whole product is taken in fp32, as Gemma does.
    """

    @classmethod
    def init(
        cls,
        axis: AxisSpec,
        *,
        eps: float,
        use_weight: bool = True,
        use_bias: bool = False,
        offset: float = 0.0,
        gain: float = 1.0,
    ) -> Self:
        """A norm with a weight of `gain - offset` and a bias of 0."""
        return cls(*_parameters(axis, use_weight, use_bias, gain - offset), axis=axis, eps=eps, offset=offset)

    def __call__(self, x: NamedArray) -> NamedArray:
        """`x`: {..., axis} -> the same axes and dtype."""
        wide = x.astype(jnp.float32)
        out = wide * hax.rsqrt(hax.mean(hax.square(wide), axis=self.axis) + self.eps)
        if self.offset == 0.0:
            out = out.astype(x.dtype)
        if self.weight is not None:
            out = out * _gain(self.weight, self.offset)
        if self.bias is not None:
            out = out + self.bias
        return out.rearrange(x.axes).astype(x.dtype)


class LayerNorm(_Norm):
    """(x - mean) / sqrt(variance + eps) * (offset + weight) + bias over `axis`, all of it in fp32, as torch does."""

    @classmethod
    def init(
        cls,
        axis: AxisSpec,
        *,
        eps: float,
        use_weight: bool = True,
        use_bias: bool = True,
        offset: float = 0.0,
        gain: float = 1.0,
    ) -> Self:
        """A norm with a weight of `gain - offset` and a bias of 0."""
        return cls(*_parameters(axis, use_weight, use_bias, gain - offset), axis=axis, eps=eps, offset=offset)

    def __call__(self, x: NamedArray) -> NamedArray:
        """`x`: {..., axis} -> the same axes and dtype."""
        wide = x.astype(jnp.float32)
        centred = wide - hax.mean(wide, axis=self.axis)
        out = centred * hax.rsqrt(hax.mean(hax.square(centred), axis=self.axis) + self.eps)
        if self.weight is not None:
            out = out * _gain(self.weight.astype(jnp.float32), self.offset)
        if self.bias is not None:
            out = out + self.bias.astype(jnp.float32)
        return out.rearrange(x.axes).astype(x.dtype)


def _parameters(
    axis: AxisSpec, use_weight: bool, use_bias: bool, weight: float
) -> tuple[NamedArray | None, NamedArray | None]:
    return hax.full(axis, weight) if use_weight else None, hax.zeros(axis) if use_bias else None


def _gain(weight: NamedArray, offset: float) -> NamedArray:
    return weight if offset == 0.0 else weight.astype(jnp.float32) + offset
