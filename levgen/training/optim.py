"""Levanter's `adam`: AdamW, clipping by global norm, a warm-up and a decay, no weight decay on norms and biases."""

from typing import Any

import equinox as eqx
import jax
import optax

from levgen.training.schema import Adam

# Parts of the names of classes whose own arrays have no weight decay, as in Levanter's default mask.
UNDECAYED_CLASSES = ("LayerNorm", "RMSNorm", "RmsNorm", "Embedding")


def learning_rate(adam: Adam, num_steps: int) -> optax.Schedule:
    """The learning rate at each step: linear warm-up, constant, then the decay of `lr_schedule` to its minimum."""
    warmup = min(_steps(adam.warmup, num_steps), num_steps)
    rest = num_steps - warmup
    decay = rest if adam.decay is None else min(_steps(adam.decay, num_steps), rest)
    peak, least = adam.learning_rate, adam.learning_rate * adam.min_lr_ratio
    match adam.lr_schedule:
        case "constant":
            falling = optax.constant_schedule(peak)
        case "linear":
            falling = optax.linear_schedule(peak, least, decay)
        case "cosine":
            falling = optax.cosine_decay_schedule(peak, max(decay, 1), adam.min_lr_ratio)
    parts = [(optax.linear_schedule(0.0, peak, warmup), warmup), (optax.constant_schedule(peak), rest - decay)]
    kept = [(schedule, steps) for schedule, steps in parts if steps > 0]
    ends = [sum(steps for _, steps in kept[: index + 1]) for index in range(len(kept))]
    return optax.join_schedules([*(schedule for schedule, _ in kept), falling if decay else parts[1][0]], ends)


def make_optimizer(adam: Adam, num_steps: int) -> optax.GradientTransformation:
    """The optimiser for a run of `num_steps`. Its step count, and with it the learning rate, is in its state."""
    parts = []
    if adam.max_grad_norm:
        parts.append(optax.clip_by_global_norm(adam.max_grad_norm))
    parts.append(optax.scale_by_adam(adam.beta1, adam.beta2, adam.epsilon))
    if adam.weight_decay > 0:
        parts.append(optax.add_decayed_weights(adam.weight_decay, decay_mask))
    parts.append(optax.scale_by_learning_rate(learning_rate(adam, num_steps)))
    return optax.chain(*parts)


def decay_mask(model: Any) -> Any:
    """True at each array of `model` that has weight decay.

    Levanter's default: all but biases and what stands directly in a norm or an embedding (so a tied head neither).
    """

    def of_module(module: Any) -> Any:
        def of_part(path: tuple[Any, ...], part: Any) -> Any:
            if isinstance(part, eqx.Module):
                return of_module(part)
            undecayed_class = any(name in type(module).__name__ for name in UNDECAYED_CLASSES)
            is_bias = any(str(getattr(entry, "name", "")).endswith("bias") for entry in path)
            return not (undecayed_class or is_bias)

        return jax.tree_util.tree_map_with_path(
            of_part, module, is_leaf=lambda part: part is not module and isinstance(part, eqx.Module)
        )

    return of_module(model)


def _steps(fraction_or_steps: float, num_steps: int) -> int:
    """Up to 1 a fraction of the run, above it steps; as in Levanter."""
    return int(fraction_or_steps * num_steps) if fraction_or_steps <= 1 else int(fraction_or_steps)
