"""Whether an edit that no test noticed changes the function at all, as far as can be told by running it."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.random as jrandom
import numpy as np
from haliax import NamedArray

from levgen.prove.bench import BEYOND, LENGTH, Vocab, inputs, logits_of, settled, tokens_of
from levgen.prove.diagnose.trial import standing_in
from levgen.prove.mutate.double import SAME, difference
from levgen.prove.mutate.program import same_program
from levgen.prove.outcome import Case
from levgen.prove.subject import Subject
from levgen.runtime import AttentionMask
from levgen.runtime.checkpoints.names import model_arrays
from levgen.runtime.parity import Ported
from levgen.runtime.testing import gradients_by_hf_name, load_from_torch, relative_error


class Comparison:
    """The model without a fault, and what it gives, held against edits of its source one after the other."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._configs = {"TINY": subject.config, **subject.variations}
        self._ready: dict[str, tuple[Ported[Any], Case]] = {}

    def change(self, source: str) -> str | None:
        """What `source` changes of the model, with its figure; None where it is equivalent on everything tried.

        Tried are: every config of the tests (the parameters that it has, logits, and gradients), each kind of rotation
        far out, packed documents, another mask, positions with gaps, and fresh weights.
        """
        subject = self._subject
        for name, before, case in self._cases():
            try:
                with standing_in(subject.files, source) as (_, model_class):
                    after = load_from_torch(model_class, before.reference)
                    if len(model_arrays(after)) != len(model_arrays(before.model)):
                        return f"{name}: the model has other parameters"
                    error = difference(_logits(*inputs(case)), before.model, after)
                    if error > SAME:
                        return f"{name}: logits change by {error:.1e}"
                    found = _elsewhere(before.model, after, tokens_of(case)) if name == "TINY" else None
                    if found is None and name in self._configs:
                        found = _of_gradients(before.model, after, tokens_of(case))
                    if found is not None:
                        return f"{name}: {found}"
            except Exception as raised:
                return f"{name}: it raises {type(raised).__name__}"
        with standing_in(subject.files, source) as (_, model_class):
            for name, config in self._configs.items():
                found = _fresh_weights(subject.model_class, model_class, config)
                if found is not None:
                    return f"{name}: {found}"
        return None

    def _cases(self) -> Iterator[tuple[str, Ported[Any], Case]]:
        """(name, the reference with random weights and the model without a fault, case), made when first asked for."""
        subject = self._subject
        cases = {name: Case(config, LENGTH) for name, config in self._configs.items()}
        longest = subject.config.max_seq_len + (BEYOND if subject.rotations else 0)
        cases |= {f"{longest} positions, {kind}": Case(config, longest) for kind, config in subject.rotations.items()}
        cases["packed documents"] = Case(subject.config, LENGTH, (24, 40))
        for name, wanted in cases.items():
            if name not in self._ready:
                before = Ported.random(subject.model_class, wanted.config, Vocab)
                self._ready[name] = before, settled(before, wanted)
            yield name, *self._ready[name]


def _logits(*given: Any) -> Callable[[Any], NamedArray]:
    return lambda model: logits_of(model, *given)


def _elsewhere(before: Any, after: Any, tokens: NamedArray) -> str | None:
    """What changes under other masks, and at other positions."""
    Pos = tokens.resolve_axis("position")
    both: NamedArray = hax.named(np.ones((Pos.size, Pos.size), bool), (Pos, Pos.alias("key_position")))
    others = {
        "a mask that hides nothing": (AttentionMask.explicit(both), hax.arange(Pos)),
        "positions with gaps": (AttentionMask.causal(), hax.arange(Pos) * 3 + 5),
    }
    for name, (mask, positions) in others.items():
        error = difference(_logits(tokens, mask, positions), before, after)
        if error > SAME:
            return f"{name}: logits change by {error:.1e}"
    return None


def _of_gradients(before: Any, after: Any, tokens: NamedArray) -> str | None:
    if same_program(_gradients, (before, tokens), (after, tokens)):
        return None
    one, other = (gradients_by_hf_name(_gradients(model, tokens)) for model in (before, after))
    for name, gradient in one.items():
        error = relative_error(other[name], gradient)
        if error > 10 * SAME:
            return f"the gradient of {name} changes by {error:.1e}"
    return None


@eqx.filter_jit
@eqx.filter_grad
def _gradients(model: Any, tokens: NamedArray) -> jax.Array:
    from levgen.runtime import LmExample

    value: jax.Array = model.compute_next_token_loss(LmExample.causal(tokens)).scalar()
    return value


def _fresh_weights(before: Any, after: Any, config: Any) -> str | None:
    edited = after.config_class()(**vars(config))
    drawing = [partial(_drawn, made, of) for made, of in ((before, config), (after, edited))]
    key = jrandom.PRNGKey(0)
    if same_program(lambda draw, key: draw(key), (drawing[0], key), (drawing[1], key)):
        return None
    drawn = [eqx.filter_jit(draw)(key) for draw in drawing]
    if len(drawn[0]) != len(drawn[1]):
        return "a fresh model has other parameters"
    worst = max(relative_error(a, b) for a, b in zip(*drawn, strict=True))
    return f"fresh weights change by {worst:.1e}" if worst > SAME else None


def _drawn(model_class: Any, config: Any, key: jax.Array) -> list[NamedArray]:
    """The arrays of a fresh model."""
    return model_arrays(model_class.init(Vocab, config, key=key))
