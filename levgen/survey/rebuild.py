"""The last step: the whole model written from the answers, with the reference's weights, against the reference."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from levgen.architecture.schema import Architecture
from levgen.reference.randomize import token_ids
from levgen.reference.sizing.values import VOCAB
from levgen.reference.tiny import Tiny
from levgen.survey.observe.shapes import LONG
from levgen.survey.port import with_weights

# In fp32. Gradients are of sums of many terms, and of the loss.
LOGITS, GRADIENTS = 1e-4, 1e-3
# Lengths in positions, beyond every probe: what acts late only shows there. A reference may take no more than LONG.
LENGTHS = (521, LONG)
# Weights are drawn at the first of these deviations at which fp32 itself leaves less than a part of LOGITS.
_DEVIATIONS = (0.2, 0.14, 0.1, 0.07, 0.05)
_NOISE = LOGITS / 4
_ULP = 2.0**-23


@dataclass(frozen=True)
class Rebuilt:
    """How near a rebuilt model came: relative errors of logits and gradients in fp32, in the config with `changes`.

    `length`: positions. `reference_noise`: the reference in fp32 against itself in fp64, for weights of `std`.
    """

    changes: dict[str, Any]
    length: int
    std: float
    logits: float
    reference_noise: float
    gradients: float | None = None
    dead: tuple[str, ...] = ()  # parameters of the reference that nothing depends on

    @property
    def holds(self) -> bool:
        gradients = 0.0 if self.gradients is None else self.gradients
        return self.logits <= LOGITS and gradients <= GRADIENTS and not self.dead


@dataclass(frozen=True)
class Pair:
    """A reference in fp32, every parameter random with deviation `std`, and the rebuilt model with the same weights.

    `logits`: the reference's [1, T, vocab] for `ids` [1, T]. `noise`: the same in fp32 against fp64, relatively.
    """

    architecture: Architecture
    port: Any
    ported: Any  # runtime.parity.Ported, whose modules that are unknown are stubs
    ids: Any
    logits: Any
    noise: float
    std: float

    def logits_error(self, length: int | None = None) -> float:
        """The relative error of the rebuilt model's logits at `ids`, or at so many tokens from the beginning of it."""
        import equinox as eqx

        from levgen.runtime.testing import relative_error

        ids, expected = self.ids, self.logits
        if length is not None:
            ids = ids[:, :length]
            expected = _logits(self.ported.reference, ids)
        model = _around(self.architecture, self.port, self.ported, ids).model
        ours = eqx.filter_jit(lambda model, tokens: model(tokens))(model, _tokens(ids))
        return relative_error(ours.array, expected)

    def gradient_error(self) -> tuple[float, tuple[str, ...]]:
        """The largest error of a gradient of the loss, and the parameters of the reference that have none."""
        return _gradients(self.architecture, self.port, self.ported)


def pair(architecture: Architecture, port: Any, tiny: Tiny, changes: Mapping[str, Any]) -> Pair:
    """The reference of the tiny config with `changes`, and `port`, the module of `architecture`, with its weights.

    Raises LevgenError where the config or the weights don't fit the rebuilt model: a parameter that only one has.
    """
    from levgen.runtime.parity import Ported

    # A table of positions ends; what a reference does beyond its end is no part of what is ported.
    lengths = (LONG,) if architecture.positions.kind in ("learned", "sinusoidal") else LENGTHS
    moved = _with_other_thetas(architecture, tiny, changes)
    for std in _DEVIATIONS:
        reference = tiny.build(dtype="float32", std=std, **changes)
        others = [tiny.build(std=std, **changes)] if tiny.dtype == "float64" else []
        if moved:
            # Angles are taken in fp32 whatever the model's precision is: what an ulp of theta does is noise, too.
            others.append(tiny.build(dtype="float32", std=std, **{**changes, **moved}))
        # What is noisy over a short length is noisier over a long one, which takes its time.
        shortened = lengths != (LONG,) and std != _DEVIATIONS[-1]
        if shortened and _noise(others, *_forward(reference, (LONG,))) > _NOISE:
            continue
        ids, expected = _forward(reference, lengths)
        noise = _noise(others, ids, expected)
        if noise <= _NOISE:
            break
    ported = Ported(reference, with_weights(architecture, port, reference))
    if _chooses(architecture):
        ids = _settled(ported, ids.shape[1])
        expected = _logits(reference, ids)
    return Pair(architecture, port, ported, ids, expected, noise, std)


def _with_other_thetas(architecture: Architecture, tiny: Tiny, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with parameters of rotations, where `changes` are made, with thetas that are larger by an fp32 ulp."""

    def moved(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {k: v * (1 + _ULP) if k == "rope_theta" and v is not None else moved(v) for k, v in value.items()}

    config = tiny.config(**changes)
    held = [architecture.hyperparameters.get(name) for name in ("rope", "local_rope")]
    fields = {p.hf.partition(".")[0] for p in held if p is not None and p.hf is not None}
    values = {name: getattr(config, name, None) for name in fields}
    return {name: other for name, value in values.items() if (other := moved(value)) != value}


def rebuild(
    architecture: Architecture, port: Any, tiny: Tiny, changes: Mapping[str, Any], *, gradients: bool
) -> Rebuilt:
    """Compares the rebuilt model with the reference of the tiny config with `changes`. Raises as `pair` does."""
    import jax

    both = pair(architecture, port, tiny, changes)
    logits = both.logits_error()
    worst, dead = both.gradient_error() if gradients else (None, ())
    jax.clear_caches()
    return Rebuilt(dict(changes), both.ids.shape[1], both.std, logits, both.noise, worst, dead)


def _around(architecture: Architecture, port: Any, ported: Any, ids: Any) -> Any:
    """`ported` with what the reference's modules give for `ids` in place of those that are unknown."""
    if not architecture.unknown:
        return ported
    from levgen.runtime.stand_in import Stub, stand_in
    from levgen.scaffold.names import model_name
    from levgen.scaffold.views.port import PortView

    config = ported.model.config
    stubs = [
        Stub(getattr(port, own.class_name), own.path, getattr(config, own.axis))
        for own in PortView(architecture, model_name("surveyed")).unknown.values()
    ]
    return stand_in(ported, stubs, _tokens(ids))


def _forward(reference: Any, lengths: tuple[int, ...]) -> tuple[Any, Any]:
    """(token ids [1, T], logits) at the first of `lengths` that the reference takes."""
    for length in lengths:
        ids = token_ids(VOCAB, length, seed=1)
        try:
            return ids, _logits(reference, ids)
        except Exception:
            if length == lengths[-1]:
                raise
    raise AssertionError("no lengths")


def _logits(reference: Any, ids: Any) -> Any:
    """The logits [1, T, vocab] that a reference of any precision gives, in fp32."""
    import torch

    with torch.no_grad():
        return reference(ids).logits.float().numpy()


def _noise(others: list[Any], ids: Any, expected: Any) -> float:
    """How far `expected`, the logits of `ids`, is from those of references that should give the same."""
    from levgen.runtime.testing import relative_error

    return max((relative_error(_logits(other, ids), expected) for other in others), default=0.0)


def _settled(ported: Any, length: int) -> Any:
    """Token ids [1, T] on which no choice hangs on rounding."""
    import numpy as np
    import torch

    drawn = ported.settled(lambda seed: _tokens(token_ids(VOCAB, length, seed=seed)))
    return torch.from_numpy(np.asarray(drawn.array).astype(np.int64))


def _chooses(architecture: Architecture) -> bool:
    """Whether experts or keys are chosen: rounding may then choose others."""
    return architecture.moe.layers != "none" or architecture.attention.indexer != "none"


def _only_chooses(architecture: Architecture, name: str) -> bool:
    """Whether a parameter is an indexer's: a choice has no gradient, and the rebuilt model has none by it either."""
    if architecture.attention.indexer == "none":
        return False
    steps = [architecture.names["decoder_layer"]["attention"], architecture.names["attention"]["indexer"]]
    return f".{'.'.join(step for step in steps if step)}." in name


def _tokens(ids: Any) -> Any:
    import haliax as hax
    import numpy as np
    from haliax import Axis

    return hax.named(np.asarray(ids.numpy(), dtype=np.int32), (Axis("batch", 1), Axis("position", ids.shape[1])))


def _gradients(architecture: Architecture, port: Any, ported: Any) -> tuple[float, tuple[str, ...]]:
    """The largest error of a gradient of the loss, and the parameters of the reference that have none.

    Those of modules that are unknown are left out: gradients pass by them, on both sides.
    """
    import numpy as np

    from levgen.runtime import parity
    from levgen.runtime.testing import gradients_by_hf_name, hf_gradients

    ids = _settled(ported, LONG) if _chooses(architecture) else token_ids(VOCAB, LONG, seed=1)
    around = _around(architecture, port, ported, ids)
    reference, model = around.reference, around.model
    tokens = _tokens(ids)
    around.reference_loss(tokens).backward()
    theirs = hf_gradients(reference)
    largest = max(float(np.abs(g).max()) for g in theirs.values())
    dead = tuple(sorted(name for name, g in theirs.items() if float(np.abs(g).max()) == 0.0))
    passed = _passed_by(architecture)
    trained = {name: p for name, p in reference.named_parameters() if p.requires_grad}
    unused = tuple(n for n, p in trained.items() if p.grad is None and not any(m(n) for m in passed))
    lost = _without_idle_experts(architecture, (*dead, *unused), [*theirs, *trained])
    lost = tuple(name for name in lost if not _only_chooses(architecture, name))
    ours = gradients_by_hf_name(parity.loss_gradients(model, tokens))
    # A gradient far below the largest is noise: it is compared on the scale of 1e-3 of it.
    errors = [
        float(np.abs(ours[name] - g).max() / max(float(np.abs(g).max()), 1e-3 * largest)) if name in ours else math.inf
        for name, g in theirs.items()
    ]
    return max(errors), lost


def _without_idle_experts(architecture: Architecture, lost: tuple[str, ...], every: list[str]) -> tuple[str, ...]:
    """`lost` without the tensors of experts that no token of the probe went to, while others in their layer have some.

    `every`: names of all parameters.
    """
    if architecture.moe.layers == "none":
        return lost
    holder = architecture.names.get("moe", {}).get("experts") or "experts"

    def of_any_expert(name: str) -> str:
        return re.sub(rf"(\.{re.escape(holder)})\.\d+\.", r"\1.*.", name)

    used = {of_any_expert(name) for name in every if name not in lost}
    return tuple(name for name in lost if of_any_expert(name) == name or of_any_expert(name) not in used)


def _passed_by(architecture: Architecture) -> list[Callable[[str], Any]]:
    """Whether a parameter, by its name, lies in a module that is unknown: one test for each such module."""
    from levgen.scaffold.names import model_name
    from levgen.scaffold.views.port import PortView

    owns = PortView(architecture, model_name("surveyed")).unknown.values()
    return [re.compile(re.escape(own.path).replace(r"\{\}", r"\d+") + r"\.").match for own in owns]
