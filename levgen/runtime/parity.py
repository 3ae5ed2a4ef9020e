"""A reference of transformers and our port of it, side by side with the same random weights: what parity tests compare.

torch and transformers are imported where they are used.
"""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
from haliax import Axis, NamedArray

from levgen.errors import LevgenError
from levgen.runtime.adamw_step import step_reference, stepped
from levgen.runtime.checkpoints.from_torch import checkpoint_names
from levgen.runtime.config import LmConfig
from levgen.runtime.model import LmExample, LmHeadModel
from levgen.runtime.reference import first_tensor, fresh_reference, unreached
from levgen.runtime.routing import router_margins
from levgen.runtime.testing import (
    gradients_by_hf_name,
    hf_gradients,
    init_statistics,
    load_from_torch,
    randomize,
    relative_error,
    to_torch,
    typical_error,
    without_rounding,
)

M = TypeVar("M", bound=LmHeadModel)
Array = np.ndarray[Any, Any]

# Scores of experts, or of keys, that differ by less, relatively, may come out in either order.
_MARGIN = 2e-5
_ROUNDS = 100


@dataclasses.dataclass(frozen=True)
class Ported(Generic[M]):
    """`reference`, a causal language model of transformers in eval mode, and `model`, ours with its weights."""

    reference: Any
    model: M

    @staticmethod
    def random(
        ModelClass: type[M], config: LmConfig, Vocab: Axis, *, folder: Path | None = None, seed: int = 0
    ) -> "Ported[M]":
        """A reference of `config` with every parameter and buffer random, and our model with the same weights.

        `folder`: the reference is not in transformers but in code of this folder, which is imported.
        """
        reference = randomize(fresh_reference(config, Vocab, folder), seed)
        return Ported(reference, load_from_torch(ModelClass, reference))

    def logits(self, tokens: NamedArray, pos_ids: NamedArray | None = None) -> NamedArray:
        """The reference's logits {batch, position, vocab} for `tokens` {batch, position}.

        pos_ids: {position} int, for a reference that takes positions (`takes_positions`).
        """
        import torch

        ids = to_torch(tokens)
        told = {} if pos_ids is None else {"position_ids": to_torch(pos_ids)[None]}
        if told and "attention_mask" in inspect.signature(self.reference.forward).parameters:
            told["attention_mask"] = torch.ones_like(ids)  # without one, a gap may begin another document
        with torch.no_grad():
            out = self.reference(ids, **told).logits
        return hax.named(out.float().numpy(), (*tokens.axes, self.model.Vocab))

    def settled(self, draw: Callable[..., NamedArray], *args: Any) -> NamedArray:
        """Tokens `draw(*args, seed=)`, {batch, position}, on which no choice of an expert or a key hangs on rounding.

        See `settling`, and its error.
        """
        return redrawn(partial(draw, *args), self.settling(draw, *args))

    def settling(self, draw: Callable[..., NamedArray], *args: Any) -> tuple[tuple[int, ...], ...]:
        """What of the tokens `draw(*args, seed=1)` is to be drawn anew, as `redrawn` takes it.

        Where two experts have nearly the same score, or two keys of an indexer at the end of those chosen, ours and the
        reference may choose differently and both be right. A token changes nothing before it, so each sequence keeps
        what comes before the first such token.

        Raises LevgenError where a hundred draws are not enough: the model doesn't tell experts, or keys, apart.
        """
        margins = eqx.filter_jit(router_margins)
        starts: tuple[tuple[int, ...], ...] = ()
        for _ in range(_ROUNDS):
            tokens = redrawn(partial(draw, *args), starts)
            found = margins(self.model, tokens)
            if found is None or float(found.array.min()) > _MARGIN:
                return starts
            near = np.asarray(found.rearrange(tokens.axes).array) <= _MARGIN
            first = np.where(near.any(axis=-1), near.argmax(axis=-1), near.shape[-1])
            starts = (*starts, tuple(int(at) for at in first.reshape(-1)))
        raise LevgenError(
            f"after {_ROUNDS} draws of tokens a router still had two experts within {_MARGIN:g} of each other, or an "
            "indexer two keys."
        )

    @property
    def takes_positions(self) -> bool:
        """Whether the reference can be told where its tokens stand."""
        return "position_ids" in inspect.signature(self.reference.forward).parameters

    def unlike_parameters(self) -> list[str]:
        """Names in the checkpoint of what only one side has as a parameter; tied ones have one name."""
        named = dict(self.reference.named_parameters()) | dict(self.reference.named_buffers())
        theirs = checkpoint_names(self.reference, dict(self.reference.named_parameters())).keys()
        ours = gradients_by_hf_name(self.model).keys()
        return sorted((theirs - ours) | (ours - theirs - checkpoint_names(self.reference, named).keys()))

    def loss(self, tokens: NamedArray) -> float:
        """The reference's loss: mean next-token cross-entropy, weighted as ours, and what it adds for its routers."""
        import torch

        with torch.no_grad():
            return float(self.reference_loss(tokens))

    def reference_continuation(self, prompt: Sequence[int], new_tokens: int) -> list[int]:
        """The tokens that the reference goes on with, the likeliest each time."""
        import torch

        ids, none = torch.tensor([list(prompt)]), self.model.vocab_size  # no token of the vocabulary ends a text
        with torch.no_grad():
            out = self.reference.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=new_tokens, do_sample=False, eos_token_id=none
            )
        continued: list[int] = out[0, len(prompt) :].tolist()
        return continued

    def record(
        self, tokens: NamedArray, path: str, *, out: str | None = None, axis: Axis | None = None
    ) -> tuple[NamedArray, NamedArray]:
        """What goes into the reference's module at `path`, and what comes out of it: {batch, position, embed} each.

        `out`: the module whose output is taken, where it isn't the same. `axis`: the last axis, where it isn't embed.

        Raises LevgenError where the reference has no such module, or where it isn't given hidden states.
        """
        import torch

        modules = dict(self.reference.named_modules())
        out = path if out is None else out
        for name in (path, out):
            if name not in modules:
                raise LevgenError(f"{type(self.reference).__name__} has no module {name!r}")
        seen: dict[str, Any] = {}

        # Copies: what the caller adds in place would else change the record.
        def before(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            seen["in"] = first_tensor([*args, *kwargs.values()]).clone()

        def after(module: Any, args: tuple[Any, ...], output: Any) -> None:
            seen["out"] = first_tensor(output if isinstance(output, list | tuple) else [output]).clone()

        hooks = [
            modules[path].register_forward_pre_hook(before, with_kwargs=True),
            modules[out].register_forward_hook(after),
        ]
        try:
            with torch.no_grad():
                self.reference(to_torch(tokens))
        finally:
            for hook in hooks:
                hook.remove()
        axes = (*tokens.axes, axis or self.model.Embed)
        # Some references flatten batch and position on the way.
        shape = [axis.size for axis in axes]
        return hax.named(seen["in"].reshape(shape).numpy(), axes), hax.named(seen["out"].reshape(shape).numpy(), axes)

    def gradients(self, tokens: NamedArray) -> dict[str, Array]:
        """Our gradient of the loss by the parameters' names in the checkpoint; one that is only rounding is zero.

        What the reference keeps in buffers, or doesn't train, is left out.
        """
        return self._trained(without_rounding(gradients_by_hf_name(loss_gradients(self.model, tokens))))

    def reference_gradients(self, tokens: NamedArray) -> dict[str, Array]:
        """The reference's gradient of the loss by the parameters' names in the checkpoint, without noise.

        Zero for what the loss doesn't reach, such as an indexer, which only chooses.
        """
        self.reference.zero_grad()
        self.reference_loss(tokens).backward()
        for name, zeros in unreached(self.reference).items():
            self.reference.get_parameter(name).grad = zeros
        gradients = hf_gradients(self.reference)
        self.reference.zero_grad()
        return without_rounding(gradients)

    def adamw_step(self, tokens: NamedArray) -> dict[str, Array]:
        """Our parameters after one step of AdamW."""
        after = stepped(self.model, loss_gradients(self.model, tokens))
        return self._trained(gradients_by_hf_name(after))

    def reference_adamw_step(self, tokens: NamedArray) -> dict[str, Array]:
        """The reference's parameters after one step of torch's AdamW; the reference itself is left as it was.

        torch steps over what the loss doesn't reach, and decays it not even: that is left out.
        """
        import copy

        copied = dataclasses.replace(self, reference=copy.deepcopy(self.reference))
        copied.reference_loss(tokens).backward()
        step_reference(copied.reference)
        idle = checkpoint_names(copied.reference, unreached(copied.reference))
        after = self._trained(gradients_by_hf_name(load_from_torch(type(self.model), copied.reference)))
        return {name: parameter for name, parameter in after.items() if name not in idle}

    def bfloat16_errors(self, tokens: NamedArray) -> tuple[float, float]:
        """How far logits in bfloat16 are from the reference's in fp32, relatively: ours, and the reference's own.

        The largest error; that of the median token where routers or indexers choose, which rounding makes choose
        otherwise for a few tokens on either side.
        """
        import copy

        import torch

        exact = self.logits(tokens)
        model = jax.tree.map(lambda x: x.astype(jnp.bfloat16) if eqx.is_inexact_array(x) else x, self.model)
        reference = dataclasses.replace(self, reference=copy.deepcopy(self.reference).to(torch.bfloat16))
        ours = eqx.filter_jit(lambda model, tokens: model(tokens))(model, tokens)
        chooses = eqx.filter_eval_shape(router_margins, self.model, tokens) is not None
        error = typical_error if chooses else relative_error
        return error(ours.astype(jnp.float32), exact), error(reference.logits(tokens), exact)

    @staticmethod
    def differing_tensors(reference: Any, folder: Path) -> list[str]:
        """Names of tensors that transformers reads from `folder` with other bits than `reference` has."""
        loaded = type(reference).from_pretrained(folder).state_dict()
        return [
            name
            for name, tensor in reference.state_dict().items()
            if not (name in loaded and tensor.dtype == loaded[name].dtype and tensor.equal(loaded[name]))
        ]

    @staticmethod
    def differing_initializations(
        ModelClass: type[M], config: LmConfig, Vocab: Axis, *, folder: Path | None = None
    ) -> list[str]:
        """What is wrong with our fresh weights: parameters whose mean or deviation is not that of a fresh reference.

        Both are random draws: they may differ by six standard errors. What one draws as a constant, so must the other.
        """
        reference = fresh_reference(config, Vocab, folder)
        named = checkpoint_names(reference, reference.state_dict())
        sizes = {name: tensor.numel() for name, tensor in named.items()}
        init: Callable[..., M] = eqx.filter_jit(ModelClass.init)
        ours = init_statistics(init(Vocab, config, key=jax.random.PRNGKey(0)))
        problems = []
        for name, (mean, std) in init_statistics(reference).items():
            our_mean, our_std = ours[name]
            error_of_mean = 6 * max(std, our_std) * (2 / sizes[name]) ** 0.5
            if abs(our_mean - mean) > error_of_mean or abs(our_std - std) > error_of_mean:
                problems.append(f"{name}: ours {our_mean:.4g} ± {our_std:.4g}, reference {mean:.4g} ± {std:.4g}")
        return problems

    def _trained(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """`arrays` without those that the reference doesn't train: its buffers, and parameters without a gradient."""
        frozen = {name: p for name, p in self.reference.named_parameters() if not p.requires_grad}
        untrained = checkpoint_names(self.reference, dict(self.reference.named_buffers()) | frozen)
        return {name: array for name, array in arrays.items() if name not in untrained}

    def reference_loss(self, tokens: NamedArray) -> Any:
        """The reference's loss as torch has it, to be differentiated: see `loss`."""
        import torch

        ids = to_torch(tokens)
        out = self.reference(ids)
        logits = out.logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="sum")
        loss = losses / LmExample.causal(tokens).loss_weight.sum().item()
        # Where the config asks for what routers did, transformers adds the loss that keeps them in balance.
        balance = getattr(out, "aux_loss", None)
        return loss if balance is None else loss + self.reference.router_aux_loss_coef * balance


def redrawn(draw: Callable[..., NamedArray], starts: Sequence[Sequence[int]]) -> NamedArray:
    """Tokens {batch, position} of `draw(seed=1)`, and from each of `starts` on those of the next seed.

    An entry of `starts` has a position for each sequence; one past the end keeps all of it.
    """
    tokens = draw(seed=1)
    [*_, Pos] = tokens.axes
    for seed, first in enumerate(starts, 2):
        from_here = np.arange(Pos.size) >= np.asarray(first)[:, None]
        array = jnp.where(from_here.reshape(tokens.array.shape), draw(seed=seed).array, tokens.array)
        tokens = NamedArray(array, tokens.axes)
    return tokens


@eqx.filter_jit
@eqx.filter_grad
def loss_gradients(model: LmHeadModel, tokens: NamedArray) -> jax.Array:
    """The gradient of the next-token loss of `tokens` {batch, position}: a tree like `model`."""
    loss: NamedArray = model.compute_next_token_loss(LmExample.causal(tokens))
    return loss.scalar()
