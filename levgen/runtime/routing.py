"""Which experts a token goes to, and the losses that keep routers in balance.

The scores themselves (softmax, sigmoid, what they are multiplied with) are written out in a model's file.
"""

import contextvars
import dataclasses
import functools
import math
import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray
from haliax.nn.scan import Stacked
from haliax.util import is_named_array

from levgen.errors import LevgenError
from levgen.runtime.runs import Runs


def top_experts(
    scores: NamedArray,
    Chosen: Axis,
    *,
    Experts: str = "expert",
    bias: NamedArray | None = None,
    groups: int | None = None,
    kept_groups: int | None = None,
    best_of_group: int = 2,
    other_groups: float = -math.inf,
) -> tuple[NamedArray, NamedArray]:
    """The experts with the largest scores, and their scores: {..., expert} -> twice {..., chosen}, the largest first.

    Of experts with equal scores the first is taken.

    Args:
        scores: {..., expert}.
        Chosen: the axis of the experts of a token, "top_expert".
        Experts: the name of the axis of experts.
        bias: {expert}; is added for the choice, and does not change the scores that are returned.
        groups, kept_groups: the experts are cut into so many groups, and chosen from the best of these only. None for
            either: there are no groups.
        best_of_group: a group is as good as the sum of so many of its largest scores.
        other_groups: what the experts of groups that aren't kept are compared as: by default none is chosen.

    Raises:
        LevgenError: more experts are to be chosen than there are, or groups that don't fit.
    """
    (Expert,) = (axis for axis in scores.axes if axis.name == Experts)
    if Chosen.size > Expert.size:
        raise LevgenError(f"{Chosen.size} experts a token are to be chosen, and there are {Expert.size}.")
    others = tuple(axis for axis in scores.axes if axis != Expert)
    ordered = scores.rearrange((*others, Expert))
    compared = jax.lax.stop_gradient(ordered if bias is None else ordered + bias.astype(ordered.dtype)).array
    if groups is not None and kept_groups is not None:
        compared = _in_best_groups(compared, groups, kept_groups, best_of_group, other_groups)
        if Chosen.size > (left := kept_groups * (Expert.size // groups)):
            raise LevgenError(
                f"{Chosen.size} experts a token are to be chosen, and {kept_groups} of {groups} groups have {left}."
            )
    best, chosen = jax.lax.top_k(compared, Chosen.size)
    # Of several that count as `other_groups` another may be taken elsewhere.
    note_margin(
        lambda: NamedArray(jnp.where(best[..., -1] == other_groups, 0.0, _margin(compared, Chosen.size)), others)
    )
    kept = jnp.take_along_axis(ordered.array, chosen, axis=-1)
    return NamedArray(chosen, (*others, Chosen)), NamedArray(kept, (*others, Chosen))


def _margin(scores: jax.Array, count: int) -> jax.Array:
    """[..., expert] -> [...]: how far the `count` largest are from the next, relative to what rounding scales with.

    A probability errs by a part of itself, whatever the others are; a logit by a part of the largest.
    """
    if count == scores.shape[-1]:
        return jnp.full(scores.shape[:-1], jnp.inf)
    best = jax.lax.top_k(scores, count + 1)[0]
    largest = jnp.abs(best).max(axis=-1, where=jnp.isfinite(best), initial=0)
    scale = jnp.where(best[..., -1] >= 0, best[..., -2], largest)
    gap = best[..., -2] - best[..., -1]
    # Experts whose scores are 0 have no weight: which of them is chosen changes nothing.
    return jnp.where(scale > 0, gap / jnp.where(scale > 0, scale, 1.0), jnp.inf)


def _in_best_groups(scores: jax.Array, groups: int, kept: int, best: int, others: float) -> jax.Array:
    """`scores` [..., expert] with `others` for the experts of all groups but the best."""
    experts = scores.shape[-1]
    if experts % groups or kept > groups or best > experts // groups:
        raise LevgenError(
            f"{experts} experts can't be cut into {groups} groups, of which {kept} are kept by their best {best}."
        )
    grouped = scores.reshape(*scores.shape[:-1], groups, experts // groups)
    quality = jax.lax.top_k(grouped, best)[0].sum(axis=-1)
    _, chosen = jax.lax.top_k(quality, kept)
    is_kept = (jnp.arange(groups) == chosen[..., None]).any(axis=-2)
    return jnp.where(is_kept[..., None], grouped, others).reshape(scores.shape)


class Routing(eqx.Module):
    """What routers did, summed over tokens and layers. `load`, `probability`: {expert} fp32; `tokens`, `z`: {} fp32."""

    load: NamedArray  # tokens that went to each expert, counting each of a token's experts
    probability: NamedArray  # of each expert, by a softmax over all
    tokens: NamedArray  # how many tokens were routed; one that passes several layers counts in each
    z: NamedArray  # squared log normaliser

    @staticmethod
    def of(logits: NamedArray, Chosen: Axis, Experts: str = "expert") -> "Routing":
        """Of one layer, from the router's `logits` {..., expert}."""
        (Expert,) = (axis for axis in logits.axes if axis.name == Experts)
        logits = logits.astype(jnp.float32)
        others = tuple(axis for axis in logits.axes if axis != Expert)
        probability = hax.nn.softmax(logits, Expert)
        chosen, _ = top_experts(logits, Chosen, Experts=Experts)
        load = jnp.zeros(Expert.size).at[chosen.array.reshape(-1)].add(1.0)
        return Routing(
            NamedArray(load, (Expert,)),
            hax.sum(probability, others),
            hax.named(jnp.asarray(float(logits.size // Expert.size)), ()),
            hax.sum(hax.square(hax.nn.logsumexp(logits, Expert)), others),
        )


def load_balancing_loss(routing: Routing | None) -> NamedArray:
    """Experts times the sum of each one's share of the tokens times its mean probability (Switch Transformer, 4 - 6).

    As transformers computes it: shares and probabilities are means over all layers, and a share counts each of a
    token's experts, so that a router in balance has a loss of the experts per token. 0 where nothing was noted.
    """
    if routing is None:
        return hax.named(jnp.zeros(()), ())
    share, mean = routing.load / routing.tokens, routing.probability / routing.tokens
    loss: NamedArray = hax.sum(share * mean) * share.axes[0].size
    return loss


def router_z_loss(routing: Routing) -> NamedArray:
    """The mean over tokens and layers of the squared log normaliser of the router's logits (ST-MoE, 5)."""
    return routing.z / routing.tokens


@dataclasses.dataclass(frozen=True)
class _Channel:
    """One kind of note that routers leave: how those of several routers are put together, and of a stack of layers."""

    join: Callable[[Any, Any], Any]
    over_layers: Callable[[NamedArray, Axis], NamedArray]


_ROUTING, _MARGIN = _Channel(operator.add, hax.sum), _Channel(hax.minimum, hax.min)

# What is listened to in the layer that is being traced, and the notes so far; None where nobody asks.
_listener: contextvars.ContextVar[tuple[_Channel, list[Any]] | None] = contextvars.ContextVar("listener", default=None)


def note_routing(logits: NamedArray, Chosen: Axis) -> None:
    """Tell `with_routing`, where it is the caller, what a router did. `logits`: {..., expert}."""
    _note(_ROUTING, lambda: Routing.of(logits, Chosen))


def note_margin(make: Callable[[], NamedArray]) -> None:
    """Tell `router_margins`, where it is the caller, how far from another choice of experts tokens were: {...}."""
    _note(_MARGIN, make)


def _note(channel: _Channel, make: Callable[[], Any]) -> None:
    listener = _listener.get()
    if listener is not None and listener[0] is channel:
        listener[1].append(make())


class _Listening(eqx.Module):
    """Stands for a `Stacked`: its `fold` leaves in `heard` what the routers of its layers noted."""

    layers: Any
    channel: _Channel = eqx.field(static=True)
    heard: list[Any] = eqx.field(static=True)

    def fold(self, x: Any, *args: Any) -> Any:
        """As `Stacked.fold`."""
        x, noted = self.layers.scan_via(self._listened)(x, *args)
        if noted is not None:
            over = partial(self.channel.over_layers, axis=self.layers.Block)  # type: ignore[call-arg]
            self.heard.append(jax.tree.map(over, noted, is_leaf=is_named_array))
        return x

    def _listened(self, layer: Any, x: Any, *args: Any) -> tuple[Any, Any]:
        noted: list[Any] = []
        token = _listener.set((self.channel, noted))
        try:
            x = layer(x, *args)
        finally:
            _listener.reset(token)
        return x, _joined(self.channel, noted)


def _heard(channel: _Channel, module: Any, run: Callable[[Any], Any]) -> tuple[Any, Any]:
    """What `run` makes of `module`, and what the routers in it noted; None where there are none."""
    heard: list[Any] = []

    def listening(node: Any) -> Any:
        return _Listening(node, channel, heard) if isinstance(node, Stacked) else node

    def is_leaf(node: Any) -> bool:
        return isinstance(node, NamedArray) or (hasattr(node, "fold") and not isinstance(node, Runs))

    out = run(jax.tree.map(listening, module, is_leaf=is_leaf))
    return out, _joined(channel, heard)


def _joined(channel: _Channel, noted: list[Any]) -> Any:
    if not noted:
        return None
    join = partial(jax.tree.map, channel.join, is_leaf=is_named_array)
    return functools.reduce(join, noted)


def with_routing(stack: Callable[..., NamedArray], x: NamedArray, *args: Any) -> tuple[NamedArray, Routing | None]:
    """What `stack`, a module with layers in a `Stacked`, makes of `x`, and what the routers in it did.

    None where there are none, or where something else stands in the place of the layers (a cache, while text is
    generated). Where it isn't used, `jit` leaves out what it would cost.
    """
    return _heard(_ROUTING, stack, lambda stack: stack(x, *args))


def router_margins(model: Any, tokens: NamedArray) -> NamedArray | None:
    """{batch, position}: by how much a token's experts were better than those it doesn't go to, where it was least.

    Relative to the scores, and of the layer where it was least. Near 0 the choice hangs on rounding.
    None for a model without routers.
    """
    margins: NamedArray | None
    _, margins = _heard(_MARGIN, model, lambda model: model.activations(tokens))
    return margins
