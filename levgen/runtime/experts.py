"""Experts: many gated MLPs, of which each token passes through a few."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray
from haliax.jax_utils import named_call
from haliax.partitioning import current_thread_local_mapping
from haliax.state_dict import ModuleWithStateDictSerialization
from jax.sharding import PartitionSpec
from jaxtyping import PRNGKeyArray

from levgen.runtime.checkpoints.pieces import HfPiece
from levgen.runtime.grouped_dot import gather_rows, grouped_dot

Gated = Callable[[NamedArray, NamedArray], NamedArray]
GATE, UP = 0, 1  # places on the axis "gate_up"
# The usual names of the tensors of one expert.
ONE_BY_ONE: Mapping[str, str] = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}


class Experts(ModuleWithStateDictSerialization):
    """Gated MLPs side by side: down(gated(gate(x), up(x))) for each of the experts that a token goes to.

    None is dropped, however many tokens an expert gets: tokens are sorted by expert, and multiplied group by group
    (`grouped_dot`). Memory and operations grow with the experts of a token, not with how many there are.

    Where the axis mapping in context spreads experts over devices, each computes its own experts for the tokens of
    its part of the batch, and what comes out is summed.

    In memory transformers holds all experts in `gate_up_proj` and `down_proj`. Its files hold them so or one by one:
    `in_files` says under which names. `flat`: there as in files three matrices hold the rows of all experts.
    """

    gate_up_proj: NamedArray  # {expert, embed, gate_up, expert_mlp}
    down_proj: NamedArray  # {expert, expert_mlp, embed}
    gate_up_proj_bias: NamedArray | None  # {expert, gate_up, expert_mlp}
    down_proj_bias: NamedArray | None  # {expert, embed}
    in_files: tuple[tuple[str, str], ...] = eqx.field(static=True)
    transposed: bool = eqx.field(static=True)
    interleaved: bool = eqx.field(static=True)
    flat: bool = eqx.field(static=True, default=False)

    @staticmethod
    def init(
        Expert: Axis,
        Embed: Axis,
        Mlp: Axis,
        *,
        key: PRNGKeyArray,
        std: float,
        down_std: float | None = None,
        use_bias: bool = False,
        in_files: Mapping[str, str] | None = ONE_BY_ONE,
        transposed: bool = False,
        interleaved: bool = False,
        flat: bool = False,
    ) -> "Experts":
        """Experts with weights ~ Normal(0, std) and biases of 0.

        Args:
            down_std: of the projection back, where it is another.
            in_files: names in transformers' files: of "gate", "up" and "down", which stand for one expert each, below
                its number; or of "gate_up" and "down", which hold all of them. None: as in transformers' memory.
            transposed: transformers holds {expert, in, out}, not {expert, out, in}.
            interleaved: transformers has rows of gate and up in turn, not all of gate and then all of up.
            flat: transformers has {expert * mlp, embed} for each of gate, up and down, under the names `in_files`.
        """
        k_gate_up, k_down = jax.random.split(key)
        GateUp = Axis("gate_up", 2)
        down_std = std if down_std is None else down_std
        return Experts(
            gate_up_proj=hax.random.normal(k_gate_up, (Expert, Embed, GateUp, Mlp)) * std,
            down_proj=hax.random.normal(k_down, (Expert, Mlp, Embed)) * down_std,
            gate_up_proj_bias=hax.zeros((Expert, GateUp, Mlp)) if use_bias else None,
            down_proj_bias=hax.zeros((Expert, Embed)) if use_bias else None,
            in_files=tuple((in_files or {}).items()),
            transposed=transposed,
            interleaved=interleaved,
            flat=flat,
        )

    @named_call
    def __call__(
        self, x: NamedArray, chosen: NamedArray, weights: NamedArray, gated: Gated, *, weigh_inputs: bool = False
    ) -> NamedArray:
        """The sum of what the chosen experts make of `x`, each times its weight; or of what they make of that product.

        Args:
            x: {..., embed}.
            chosen: {..., top_expert} int, over the axes of `x` but "embed"; no expert twice for a token.
            weights: {..., top_expert}, in whose precision the sum is taken.
            gated: of gate and up, {row, expert_mlp} each -> the same axes.
            weigh_inputs: a weight multiplies what goes into its expert, and not what comes out.

        Returns:
            {..., embed}, as `x`.
        """
        Expert, _, _, Mlp = self.gate_up_proj.axes
        Embed = self.down_proj.axes[-1]
        others = tuple(axis for axis in x.axes if axis != Embed)
        (Chosen,) = (axis for axis in chosen.axes if axis not in others)
        tokens = [
            x.rearrange((*others, Embed)),
            *(of_chosen.rearrange((*others, Chosen)) for of_chosen in (chosen, weights)),
        ]
        biases = [bias for bias in (self.gate_up_proj_bias, self.down_proj_bias) if bias is not None]
        sources = [*tokens, self.gate_up_proj, self.down_proj, *biases]
        spread = Spread.current(Expert, Mlp)
        compute: Callable[..., jax.Array] = partial(_pass, gated=gated, spread=spread, weigh_inputs=weigh_inputs)
        if spread is not None:
            in_specs = [spread.of_tokens(source.axes) for source in tokens]
            in_specs += [spread.of_weights(source.axes) for source in sources[len(tokens) :]]
            compute = jax.shard_map(
                compute, in_specs=tuple(in_specs), out_specs=spread.of_tokens((*others, Embed)), check_vma=False
            )
        out = compute(*(source.array for source in sources))
        return NamedArray(out, (*others, Embed)).rearrange(x.axes)

    def hf_pieces(self, *, in_files: bool) -> Iterator[HfPiece]:
        """See `InPieces`."""
        expert, embed, gate_up, mlp = ((axis.name,) for axis in self.gate_up_proj.axes[-4:])
        names = dict(self.in_files) if in_files or self.flat else {}
        if self.flat:
            for role, place in (("gate", GATE), ("up", UP)):
                yield HfPiece(names[role], "gate_up_proj", (expert + mlp, embed), {gate_up[0]: place})
            yield HfPiece(names["down"], "down_proj", (expert + mlp, embed))
            return
        if "gate" in names:
            for number in range(self.gate_up_proj.axes[-4].size):
                for role, place in (("gate", GATE), ("up", UP)):
                    at = {expert[0]: number, gate_up[0]: place}
                    yield HfPiece(f"{number}.{names[role]}.weight", "gate_up_proj", (mlp, embed), at)
                yield HfPiece(f"{number}.{names['down']}.weight", "down_proj", (embed, mlp), {expert[0]: number})
            return
        wide = mlp + gate_up if self.interleaved else gate_up + mlp
        both, down = names.get("gate_up", "gate_up_proj"), names.get("down", "down_proj")
        into, out = ((embed, wide), (mlp, embed)) if self.transposed else ((wide, embed), (embed, mlp))
        yield HfPiece(both, "gate_up_proj", (expert, *into))
        yield HfPiece(down, "down_proj", (expert, *out))
        if self.gate_up_proj_bias is not None:
            yield HfPiece(f"{both}_bias", "gate_up_proj_bias", (expert, wide))
            yield HfPiece(f"{down}_bias", "down_proj_bias", (expert, embed))


def _pass(
    x: jax.Array,
    chosen: jax.Array,
    weights: jax.Array,
    gate_up: jax.Array,
    down: jax.Array,
    gate_up_bias: jax.Array | None = None,
    down_bias: jax.Array | None = None,
    *,
    gated: Gated,
    spread: "Spread | None",
    weigh_inputs: bool,
) -> jax.Array:
    """What one device computes: its tokens [..., embed], through its experts [expert, ...]."""
    experts, embed, _, mlp = gate_up.shape
    copies = chosen.shape[-1]
    expert = chosen.reshape(-1) - (0 if spread is None else spread.first_expert(experts))
    is_mine = (expert >= 0) & (expert < experts)
    expert = jnp.where(is_mine, expert, experts)  # others' come last, and belong to no group
    order = jnp.argsort(expert, stable=True)
    inverse = jnp.argsort(order)
    sizes = jnp.bincount(expert, length=experts)
    of_row = jnp.minimum(expert[order], experts - 1)

    rows = gather_rows(x.reshape(-1, embed), order, inverse, copies)
    if weigh_inputs:
        # As with outputs, the product is taken in the precision of the weights, and then has that of the tokens.
        of_rows = gather_rows(weights.reshape(-1, 1), order, inverse, 1)
        rows = (rows.astype(weights.dtype) * of_rows).astype(x.dtype)
        weights = jnp.ones_like(weights)
    wide = grouped_dot(rows, gate_up.reshape(experts, embed, -1), sizes).reshape(-1, 2, mlp)
    if gate_up_bias is not None:
        wide = wide + gate_up_bias[of_row]
    axes = (Axis("row", rows.shape[0]), Axis("expert_mlp", mlp))
    inner = gated(NamedArray(wide[:, GATE], axes), NamedArray(wide[:, UP], axes)).array
    out = grouped_dot(inner, down, sizes)
    if down_bias is not None:
        share = 1 if spread is None else spread.share_of_bias()
        out = out + down_bias[of_row] * jnp.asarray(share, out.dtype)

    weighed = jnp.where(is_mine.reshape(weights.shape), weights, 0).reshape(-1, copies, 1)
    each = gather_rows(out, inverse, order, 1).reshape(-1, copies, embed)
    total = (each.astype(weights.dtype) * weighed).sum(axis=1)
    if spread is not None:
        total = jax.lax.psum(total, spread.summed)
    return total.reshape(x.shape).astype(x.dtype)


@dataclass(frozen=True)
class Spread:
    """How experts lie on the devices of the mesh in context, by the axis mapping in context.

    Tokens lie as the mapping says, but whole along the devices that the experts, or parts of them, are spread over.
    """

    Expert: Axis
    Mlp: Axis
    expert: tuple[str, ...]  # mesh axes that experts are spread over
    mlp: tuple[str, ...]  # mesh axes that the inside of each is spread over
    mapping: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, int]

    @staticmethod
    def current(Expert: Axis, Mlp: Axis) -> "Spread | None":
        """None where there is one device, or no mapping."""
        mesh, mapping = jax.sharding.get_abstract_mesh(), current_thread_local_mapping()
        if mapping is None or mesh.empty or mesh.size == 1:
            return None
        named = {name: (axes,) if isinstance(axes, str) else tuple(axes) for name, axes in mapping.items()}
        unbound = Spread(Expert, Mlp, (), (), named, dict(mesh.shape))
        expert = unbound._over(Expert, ())
        return replace(unbound, expert=expert, mlp=unbound._over(Mlp, expert))

    def _over(self, axis: Axis, taken: tuple[str, ...]) -> tuple[str, ...]:
        """The mesh axes that `axis` is spread over; none where they are taken, or don't divide it."""
        names = self.mapping.get(axis.name, ())
        fits = axis.size % math.prod(self.sizes[name] for name in names) == 0
        return names if fits and not set(names) & set(taken) else ()

    @property
    def summed(self) -> tuple[str, ...]:
        """Along which devices what comes out is summed."""
        return self.expert + self.mlp

    def of_tokens(self, axes: tuple[Axis, ...]) -> PartitionSpec:
        """Of {..., embed} or {..., top_expert}: the last axis is whole."""
        return PartitionSpec(*(self._over(axis, self.summed) or None for axis in axes[:-1]), None)

    def of_weights(self, axes: tuple[Axis, ...]) -> PartitionSpec:
        own = {self.Expert: self.expert, self.Mlp: self.mlp}
        return PartitionSpec(*(own.get(axis) or None for axis in axes))

    def first_expert(self, each: int) -> jax.Array | int:
        """The number of this device's first expert; it has `each`."""
        return jax.lax.axis_index(self.expert) * each if self.expert else 0

    def share_of_bias(self) -> jax.Array | int:
        """1 on one of the devices that have a part of the same expert, 0 on the others."""
        return jax.lax.axis_index(self.mlp) == 0 if self.mlp else 1
