"""axes: what goes in and comes out has the named axes that a trainer relies on, and no name has two sizes."""

from typing import Any

import equinox as eqx
import jax
from haliax import Axis

from levgen.prove.bench import LENGTH, Bench, Vocab, abstract, leaves
from levgen.prove.outcome import Outcome, failed, passed
from levgen.prove.rungs.traces import shape_of_tokens
from levgen.runtime.model import split_activations
from levgen.runtime.runs import Runs

# Axes whose size belongs to the data, and those that a module makes for itself.
_OF_DATA = ("batch", "position", "key_position")


def axes(bench: Bench) -> Outcome:
    """The axes of logits, hidden states, head and parameters of TINY."""
    subject = bench.subject
    config, tokens = subject.config, shape_of_tokens(LENGTH)
    model = abstract(subject.model_class, config, Vocab)
    hidden, _ = eqx.filter_eval_shape(lambda model, tokens: split_activations(model.activations(tokens)), model, tokens)
    logits = eqx.filter_eval_shape(lambda model, tokens: model(tokens), model, tokens)
    wanted = {
        "logits": (logits.axes, (*tokens.axes, Vocab)),
        "activations": (hidden.axes, (*tokens.axes, config.Embed)),
        "the head": (set(model.get_lm_head().axes), {Vocab, config.Embed}),
    }
    problems = [f"{what}: {got} instead of {right}" for what, (got, right) in wanted.items() if got != right]
    problems += _two_sizes(config, model)
    if problems:
        return failed(problems[0], details=tuple(problems[1:]))
    names = sorted({axis.name for leaf in leaves(model) for axis in leaf.axes})
    return passed(f"logits {{batch, position, vocab}}; parameters over {', '.join(names)}")


def _two_sizes(config: Any, model: Any) -> list[str]:
    """Axis names that stand for two sizes, among the config's axes and those of the parameters."""
    sizes: dict[str, dict[int, str]] = {}
    own = {name: value for name in dir(type(config)) if isinstance(value := _axis(config, name), Axis)}
    for name, axis in own.items():
        sizes.setdefault(axis.name, {}).setdefault(axis.size, f"config.{name}")
    # Of layers that are not all alike, each run has a stack of its own: their sizes add up.
    runs = [part for part in jax.tree.leaves(model, is_leaf=_is_runs) if _is_runs(part)]
    cut = {run.Block.name for run in runs if sum(run.sizes) == run.Block.size}
    for leaf in leaves(model):
        for axis in leaf.axes:
            if axis.name in cut:
                continue
            sizes.setdefault(axis.name, {}).setdefault(axis.size, "a parameter")
    return [
        f"the axis {name!r} has the sizes {' and '.join(f'{size} ({where})' for size, where in found.items())}"
        for name, found in sizes.items()
        if len(found) > 1 and name not in _OF_DATA
    ]


def _is_runs(part: Any) -> bool:
    return isinstance(part, Runs)


def _axis(config: Any, name: str) -> Any:
    return getattr(config, name) if isinstance(getattr(type(config), name), property) else None
