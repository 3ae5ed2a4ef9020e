"""forward: logits and loss equal the reference's, at TINY and at every other config of the tests."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np
from haliax import NamedArray

from levgen.prove.bench import Bench, logits_of, tokens_of
from levgen.prove.outcome import MODEL, Case, Outcome, measured
from levgen.runtime import LmExample
from levgen.runtime.testing import relative_error, to_numpy


def forward(bench: Bench) -> Outcome:
    """Logits at every config, the loss at TINY."""
    subject = bench.subject
    errors: dict[str, float] = {}
    cases: dict[str, Case] = {}
    by_position: list[float] = []
    for name, config in {"TINY": subject.config, **subject.variations}.items():
        ported = bench.ported(config)
        case = bench.settled(config)
        tokens = tokens_of(case)
        ours, theirs = logits_of(ported.model, tokens), ported.logits(tokens)
        errors[f"logits at {name}"] = relative_error(ours, theirs)
        cases[f"logits at {name}"] = case
        by_position = by_position or errors_by_position(ours, theirs)
    ported, tokens = bench.ported(), tokens_of(bench.case)
    errors["loss"] = relative_error(loss_of(ported.model, tokens), ported.loss(tokens))
    cases["loss"] = bench.case
    outcome = measured(errors, MODEL, cases=cases)
    return dataclasses.replace(outcome, data={"errors": errors, "by_position": by_position})


@eqx.filter_jit
def loss_of(model: Any, tokens: NamedArray) -> jax.Array:
    """The mean next-token loss: a scalar."""
    value: jax.Array = model.compute_next_token_loss(LmExample.causal(tokens)).scalar()
    return value


def errors_by_position(ours: NamedArray, theirs: NamedArray) -> list[float]:
    """The relative error at each position, for {batch, position, vocab}."""
    a, b = to_numpy(ours).astype(np.float64), to_numpy(theirs).astype(np.float64)
    worst = np.abs(a - b).max(axis=(0, 2)) / np.abs(b).max()
    return [float(value) for value in worst]
