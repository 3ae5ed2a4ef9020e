"""The bench on which rungs work: the model, references with random weights built once a config, tokens, values."""

import dataclasses
import importlib.util
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.random as jrandom
from haliax import Axis, NamedArray

from levgen.prove.outcome import Case
from levgen.prove.subject import Subject
from levgen.runtime import AttentionMask
from levgen.runtime.parity import Ported, redrawn
from levgen.runtime.routing import router_margins

# Prime, and unlike every other size: an axis taken for another shows.
Vocab = Axis("vocab", 131)
Batch = Axis("batch", 2)
LENGTH = 64
BEYOND = 60  # positions past the model's own maximum, where its rotation allows them


@eqx.filter_jit
def logits_of(model: Any, tokens: NamedArray, mask: Any = None, pos_ids: NamedArray | None = None) -> NamedArray:
    """Compiled once a model's structure: {batch, position, vocab}."""
    out: NamedArray = model(tokens, mask, pos_ids)
    return out


class Bench:
    """What the rungs share. `checkpoint`: a folder with real weights, where one was given."""

    def __init__(self, subject: Subject, *, checkpoint: Path | None = None) -> None:
        self.subject = subject
        self.checkpoint = checkpoint
        self._ported: dict[str, Ported[Any]] = {}

    @cached_property
    def missing(self) -> str | None:
        """Why there is no reference to compare with; None where there is."""
        for package in ("torch", "transformers"):
            if importlib.util.find_spec(package) is None:
                return f"{package} is not installed (pip install 'levgen[test]')"
        if self.subject.config.hf_fields.config_class is None:
            return "the model has no reference in transformers"
        return None

    def ported(self, config: Any = None) -> Ported[Any]:
        """The reference of a config (TINY by default) with random weights, and our model with the same ones."""
        config = self.subject.config if config is None else config
        key = repr(config)
        if key not in self._ported:
            self._ported[key] = Ported.random(self.subject.model_class, config, Vocab)
        return self._ported[key]

    @cached_property
    def case(self) -> Case:
        """TINY on one short document."""
        return self.settled(self.subject.config)

    def settled(self, config: Any, length: int = LENGTH) -> Case:
        """One document of `length` tokens; see the function of that name."""
        return settled(self.ported(config), Case(config, length))

    @cached_property
    def fresh(self) -> Any:
        """Our model of TINY with the weights that it draws itself."""
        return eqx.filter_jit(self.subject.model_class.init)(Vocab, self.subject.config, key=jrandom.PRNGKey(2))


def random_tokens(length: int = LENGTH, batch: Axis = Batch, *, seed: int = 1) -> NamedArray:
    """{batch, position} int."""
    tokens: NamedArray = hax.random.randint(jrandom.PRNGKey(seed), (batch, Axis("position", length)), 0, Vocab.size)
    return tokens


def tokens_of(case: Case) -> NamedArray:
    """{batch, position} int."""
    return redrawn(partial(random_tokens, case.length), case.redrawn)


def settled(ported: Ported[Any], case: Case) -> Case:
    """`case` with tokens on which no choice hangs on rounding: see `Ported.settling`, and its error."""
    if eqx.filter_eval_shape(router_margins, ported.model, tokens_of(case)) is None:
        return case  # nothing is chosen: that is told by tracing it alone
    return dataclasses.replace(case, redrawn=ported.settling(random_tokens, case.length))


def inputs(case: Case) -> tuple[NamedArray, AttentionMask, NamedArray]:
    """Tokens {batch, position}, the mask and the positions {position} of a case."""
    import numpy as np

    tokens = tokens_of(case)
    Pos = tokens.resolve_axis("position")
    lengths = case.documents or (case.length,)
    positions = hax.named(np.concatenate([np.arange(length) for length in lengths]), Pos)
    mask = AttentionMask.causal()
    if case.documents:
        mask = mask.with_segment_ids(hax.named(np.repeat(np.arange(len(lengths)), lengths), Pos))
    return tokens, mask, positions


def documents(case: Case) -> list[NamedArray]:
    """The tokens of each document of a case, alone: {batch, position}."""
    tokens = tokens_of(case)
    pieces, start = [], 0
    for length in case.documents or (case.length,):
        pieces.append(tokens["position", start : start + length])
        start += length
    return pieces


def reference_logits(ported: Ported[Any], case: Case) -> NamedArray:
    """The reference's logits {batch, position, vocab} of a case, each document run alone."""
    return hax.concatenate("position", [ported.logits(piece) for piece in documents(case)])


def abstract(model_class: Any, config: Any, Vocab: Axis) -> Any:
    """A model with shapes in place of arrays: takes no memory, whatever the config's size."""
    return eqx.filter_eval_shape(model_class.init, Vocab, config, key=jrandom.PRNGKey(0))


def replaced(config: Any, **changes: Any) -> Any:
    """`config` with changes."""
    return dataclasses.replace(config, **changes)


def leaves(model: Any) -> list[NamedArray]:
    """The named arrays of a model."""
    found = jax.tree.leaves(model, is_leaf=lambda leaf: isinstance(leaf, NamedArray))
    return [leaf for leaf in found if isinstance(leaf, NamedArray)]
