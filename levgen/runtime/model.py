"""The base class of every model with a language-model head, and the example that it is trained on."""

import abc
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization
from jaxtyping import PRNGKeyArray

from levgen.errors import LevgenError
from levgen.runtime.config import LmConfig
from levgen.runtime.loss import next_token_loss
from levgen.runtime.mask import AttentionMask
from levgen.runtime.resize import resize_axis


class LmExample(eqx.Module):
    """Tokens, the weight of each position's loss, and what may be attended to.

    tokens: {..., position} int. loss_weight: {..., position} float, 0 at the last position, which predicts nothing.
    """

    tokens: NamedArray
    loss_weight: NamedArray
    attn_mask: AttentionMask | NamedArray = eqx.field(default_factory=AttentionMask.causal)

    @staticmethod
    def causal(
        tokens: NamedArray,
        *,
        loss_weight: NamedArray | None = None,
        ignore_id: int | None = None,
        segment_ids: NamedArray | None = None,
    ) -> "LmExample":
        """An example for next-token prediction.

        Args:
            tokens: {..., position} int.
            loss_weight: {..., position}; 1 everywhere by default.
            ignore_id: positions whose next token is this one have no loss.
            segment_ids: {..., position} int; a token attends only to those of its own segment.
        """
        if not jnp.issubdtype(tokens.dtype, jnp.integer):
            raise LevgenError(f"tokens must be integers, got {tokens.dtype}.")
        Pos = tokens.resolve_axis("position")
        has_next = hax.arange(Pos) < Pos.size - 1
        weight = hax.ones(tokens.axes, dtype=jnp.float32) if loss_weight is None else loss_weight.astype(jnp.float32)
        weight = weight * has_next
        if ignore_id is not None:
            weight = weight * (hax.roll(tokens, -1, Pos) != ignore_id)
        mask = AttentionMask.causal()
        if segment_ids is not None:
            mask = mask.with_segment_ids(segment_ids)
        return LmExample(tokens=tokens, loss_weight=weight.rearrange(tokens.axes), attn_mask=mask)


class LmHeadModel(ModuleWithStateDictSerialization):
    """A model that predicts the next token.

    A subclass has the static field `config`, whose annotation is its config class, and defines `init`, `activations`
    and `get_lm_head`; one with a bias, scale or softcap on its logits overrides `logits`.
    """

    config: eqx.AbstractVar[LmConfig]

    # Steps of names in checkpoints -> what transformers renames them to as it loads, where it does.
    hf_module_names: ClassVar[Mapping[str, str]] = {}

    @classmethod
    @abc.abstractmethod
    def init(cls, Vocab: Axis, config: Any, *, key: PRNGKeyArray) -> Self:
        """A model with fresh weights."""

    @abc.abstractmethod
    def activations(
        self,
        input_ids: NamedArray,
        attn_mask: AttentionMask | NamedArray | None = None,
        *,
        pos_ids: NamedArray | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Any:
        """`input_ids`: {..., position} int -> {..., position, embed}, or the pair of that and an auxiliary loss.

        `attn_mask`: causal when None. `pos_ids`: {..., position} int, counted from 0 when None.
        """

    @abc.abstractmethod
    def get_lm_head(self) -> NamedArray:
        """The output matrix: {vocab, embed}."""

    @classmethod
    def config_class(cls) -> type[LmConfig]:
        """The config class of the model, from the annotation of its field `config`."""
        found = typing.get_type_hints(cls).get("config")
        if not (isinstance(found, type) and issubclass(found, LmConfig)):
            raise LevgenError(
                f"the field `config` of {cls.__name__} must be annotated with a subclass of LmConfig, found {found!r}."
            )
        return found

    @property
    def Vocab(self) -> Axis:
        """The axis "vocab"."""
        return self.get_lm_head().resolve_axis("vocab")

    @property
    def Tokens(self) -> Axis:
        """The axis of the tokens that are embedded: "vocab", where a model has no more of them than it predicts."""
        return self.Vocab

    @property
    def vocab_size(self) -> int:
        return self.Vocab.size

    @property
    def Pos(self) -> Axis:
        """The axis "position" at its longest."""
        return typing.cast(Axis, self.config.max_Pos)

    @property
    def KeyPos(self) -> Axis:
        return typing.cast(Axis, self.config.KeyPos)

    @property
    def max_length(self) -> int:
        return self.config.max_seq_len

    @property
    def Embed(self) -> Axis:
        """The axis of the last hidden state: that of the head which is not "vocab"."""
        (Embed,) = (axis for axis in self.get_lm_head().axes if axis.name != "vocab")
        return Embed

    def logits(self, hidden: NamedArray) -> NamedArray:
        """{..., embed} -> {..., vocab}."""
        return hax.dot(hidden, self.get_lm_head(), axis=self.Embed)

    def __call__(
        self,
        input_ids: NamedArray,
        attn_mask: AttentionMask | NamedArray | None = None,
        pos_ids: NamedArray | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> NamedArray:
        """`input_ids`: {..., position} int -> logits {..., position, vocab}."""
        hidden, _ = split_activations(self.activations(input_ids, attn_mask, pos_ids=pos_ids, key=key))
        return self.logits(hidden)

    def compute_next_token_loss(
        self,
        example: LmExample,
        *,
        key: PRNGKeyArray | None = None,
        reduction: Any = hax.mean,
        reduction_axis: hax.AxisSelection | None = None,
        logsumexp_weight: float | None = None,
    ) -> NamedArray:
        """Cross-entropy of each position's next token in fp32, plus the auxiliary loss of `activations` if it has one.

        Reduced over `reduction_axis` (None: all axes), weighted by `example.loss_weight`; with `reduction=None`
        {..., position}. The logits are never held for all positions at once.
        """
        hidden, auxiliary = split_activations(self.activations(example.tokens, example.attn_mask, key=key))
        loss = next_token_loss(
            hidden,
            self.logits,
            example.tokens,
            example.loss_weight,
            Vocab=self.Vocab,
            reduction=reduction,
            reduction_axis=reduction_axis,
            logsumexp_weight=logsumexp_weight,
        )
        return loss if auxiliary is None else loss + auxiliary

    def resize_vocab(self, new_size: int, key: PRNGKeyArray | None = None) -> Self:
        """The model with `new_size` tokens: truncated, or grown at the end.

        New rows are Normal(0, `config.initializer_range`) with a key; without, and for biases, the mean of the old.
        Tokens after the vocabulary, which are embedded and not predicted, stay the last ones.
        """
        if new_size < 1:
            raise LevgenError(f"a vocabulary has at least 1 token, got new_size={new_size}.")
        std = getattr(self.config, "initializer_range", None)
        resized = resize_axis(self, self.Vocab, new_size, std=std, key=key)
        if self.Tokens == self.Vocab:
            return resized
        more = self.Tokens.size - self.Vocab.size
        key = None if key is None else jax.random.fold_in(key, 0)
        return resize_axis(resized, self.Tokens, new_size + more, std=std, key=key, last=more)


def split_activations(activations: Any) -> tuple[NamedArray, Any]:
    """The hidden states and the auxiliary loss (None where there is none) of what `activations` returned."""
    return activations if isinstance(activations, tuple) else (activations, None)
