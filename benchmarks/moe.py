"""A block of experts with its gradients: levgen's, every expert for every token, and transformers' in torch."""

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import haliax as hax
import haliax.nn as hnn
import jax
import numpy as np
from haliax import Axis, NamedArray

from benchmarks.table import Comparison, Ratio
from benchmarks.timing import Runner, interleaved
from levgen.runtime import Experts, top_experts
from levgen.runtime.testing import relative_error

GROUPED, DENSE = "levgen, grouped", "every expert for every token"
# transformers' default, and its loop over the experts that any token goes to.
TORCH = {"transformers (torch), grouped": "grouped_mm", "transformers (torch), loop": "eager"}
Expert, Token = Axis("expert", 8), Axis("token", 1024)
Embed, Mlp = Axis("embed", 256), Axis("expert_mlp", 256)
EXPERTS, CHOSEN = (8, 64, 256), 4


def run(*, quick: bool) -> list[Comparison]:
    """A table for each number of experts; a token goes to four of them, whatever their number.

    Raises RuntimeError where the rivals, which have the same weights, differ.
    """
    return [_compare(count, tokens=64 if quick else Token.size, rounds=2 if quick else 9) for count in EXPERTS]


def _compare(count: int, *, tokens: int, rounds: int) -> Comparison:
    experts, x, chosen, weights = _drawn(Expert.resize(count), Token.resize(tokens))
    steps: dict[str, Callable[[], Any]] = {}
    notes = []
    for name, mix in ((GROUPED, _grouped), (DENSE, _dense)):
        step = eqx.filter_jit(eqx.filter_value_and_grad(partial(_loss, mix)))
        compiled = step.lower((experts, x), chosen, weights).compile()
        steps[name] = partial(_wait, compiled, (experts, x), chosen, weights)
        memory = compiled.compiled.memory_analysis()
        notes.append(f"{name}: {memory.temp_size_in_bytes / 2**20:,.0f} MiB of temporary memory.")
    found = {name: (loss, of_x.array) for name, (loss, (_, of_x)) in ((name, step()) for name, step in steps.items())}
    if importlib.util.find_spec("torch") is not None:
        for name, implementation in TORCH.items():
            steps[name] = _torch_step(implementation, experts, x, chosen, weights)
            found[name] = steps[name]()
    errors = {name: max(map(relative_error, values, found[DENSE])) for name, values in found.items()}
    if max(errors.values()) > 1e-4:
        raise RuntimeError(f"the rivals differ in loss or gradient: {errors}")
    timings = interleaved(
        f"experts {count}", {name: Runner(step, prepare=step) for name, step in steps.items()}, rounds
    )
    ratios = [Ratio(name, DENSE) for name in steps if name != DENSE]
    title = (
        f"{count} experts of width {Mlp.size}, {CHOSEN} a token: {tokens} tokens of width {Embed.size}, with gradients"
    )
    return Comparison(title, timings, ratios, notes)


def _drawn(Experts_: Axis, Tokens: Axis) -> tuple[Experts, NamedArray, NamedArray, NamedArray]:
    keys = jax.random.split(jax.random.key(0), 3)
    experts = Experts.init(Experts_, Embed, Mlp, key=keys[0], std=0.05)
    x, logits = hax.random.normal(keys[1], (Tokens, Embed)), hax.random.normal(keys[2], (Tokens, Experts_))
    chosen, weights = top_experts(hnn.softmax(logits, Experts_), Axis("top_expert", CHOSEN))
    return experts, x, chosen, weights


def _gated(gate: NamedArray, up: NamedArray) -> NamedArray:
    return hnn.silu(gate) * up


def _grouped(experts: Experts, x: NamedArray, chosen: NamedArray, weights: NamedArray) -> NamedArray:
    return experts(x, chosen, weights, _gated)


def _dense(experts: Experts, x: NamedArray, chosen: NamedArray, weights: NamedArray) -> NamedArray:
    """Every expert computes every token, and most of it is multiplied by 0."""
    wide = hax.dot(x, experts.gate_up_proj, axis=Embed)
    out = hax.dot(_gated(wide["gate_up", 0], wide["gate_up", 1]), experts.down_proj, axis=Mlp)
    Experts_ = experts.down_proj.resolve_axis("expert")
    share = hax.dot(hnn.one_hot(chosen, Experts_, dtype=x.dtype), weights, axis="top_expert")
    return hax.dot(out, share, axis=Experts_)


def _loss(mix: Any, trained: tuple[Experts, NamedArray], chosen: NamedArray, weights: NamedArray) -> jax.Array:
    experts, x = trained
    return hax.mean(hax.square(mix(experts, x, chosen, weights))).scalar()  # type: ignore[no-any-return]


def _wait(step: Callable[..., Any], *arguments: Any) -> Any:
    return jax.block_until_ready(step(*arguments))


def _torch_step(
    implementation: str, experts: Experts, x: NamedArray, chosen: NamedArray, weights: NamedArray
) -> Callable[[], tuple[float, Any]]:
    """Computes the loss and all gradients; returns the loss and the gradient of `x`."""
    import torch
    from transformers.models.mixtral.modeling_mixtral import MixtralConfig, MixtralExperts

    count = experts.down_proj.axes[0].size
    config = MixtralConfig(hidden_size=Embed.size, intermediate_size=Mlp.size, num_local_experts=count)
    config._experts_implementation = implementation
    theirs = MixtralExperts(config)
    both = np.asarray(experts.gate_up_proj.array).reshape(count, Embed.size, -1)
    with torch.no_grad():
        theirs.gate_up_proj.copy_(torch.from_numpy(both.swapaxes(1, 2).copy()))
        theirs.down_proj.copy_(torch.from_numpy(np.asarray(experts.down_proj.array).swapaxes(1, 2).copy()))
    hidden, index, scale = (torch.from_numpy(np.array(a.array)) for a in (x, chosen, weights))
    hidden.requires_grad_()

    def step() -> tuple[float, Any]:
        loss = theirs(hidden, index.long(), scale).square().mean()
        loss.backward()
        of_x = hidden.grad
        for tensor in (hidden, *theirs.parameters()):
            tensor.grad = None
        return float(loss.detach()), of_x.numpy()

    return step
