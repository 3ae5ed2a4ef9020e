"""Levanter's optimisers: clipping by global norm, a warm-up and a decay, no weight decay on norms and biases."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from levgen.training import schema_optimizer as options

# Parts of the names of classes whose own arrays have no weight decay, as in Levanter's default mask.
UNDECAYED_CLASSES = ("LayerNorm", "RMSNorm", "RmsNorm", "Embedding")


def learning_rate(settings: options.Optimizer, num_steps: int) -> optax.Schedule:
    """The learning rate at each step: linear warm-up, constant, then the decay of `lr_schedule` to its minimum."""
    warmup = min(_steps(settings.warmup, num_steps), num_steps)
    rest = num_steps - warmup
    decay = rest if settings.decay is None else min(_steps(settings.decay, num_steps), rest)
    peak = settings.learning_rate
    falling = _falling(settings.lr_schedule, peak, settings.min_lr_ratio, warmup=warmup, decay=max(decay, 1))
    parts = [(optax.linear_schedule(0.0, peak, warmup), warmup), (optax.constant_schedule(peak), rest - decay)]
    kept = [(schedule, steps) for schedule, steps in parts if steps > 0]
    ends = [sum(steps for _, steps in kept[: index + 1]) for index in range(len(kept))]
    return optax.join_schedules([*(schedule for schedule, _ in kept), falling if decay else parts[1][0]], ends)


def _falling(schedule: options.Schedule, peak: float, least_ratio: float, *, warmup: int, decay: int) -> optax.Schedule:
    """The decay over `decay` steps, counted from its first, to the minimum where the schedule ends there."""
    least = peak * least_ratio
    match schedule:
        case options.Constant():
            return optax.constant_schedule(peak)
        case options.Linear():
            return optax.linear_schedule(peak, least, decay)
        case options.Cosine(exponent=exponent):
            return optax.cosine_decay_schedule(peak, decay, least_ratio, exponent)
        case options.Polynomial(power=power):
            return optax.polynomial_schedule(peak, least, power, decay)
        case options.Inverse():
            # Without a minimum it falls to 0 at once, as 1 / (1 / 0) does.
            slope = 1 / least_ratio - 1 if least_ratio else jnp.inf
            return lambda step: jnp.maximum(peak / (slope * jnp.maximum(step, 1) / decay + 1), least)
        case options.InverseSqrt(timescale=timescale):
            return lambda step: jnp.maximum(
                peak * jnp.minimum(1.0, jnp.sqrt(timescale / jnp.maximum(step + warmup, 1))), least
            )
        case options.InverseSqrtDecay(decay_constant=constant):
            return lambda step: jnp.maximum(least, peak / jnp.sqrt(1 + constant * step / decay))
        case options.Power(batch_size=batch_size, seq_length=length, a=a, b=b):
            # Step 0 has seen no token: the power is infinite there, and the peak the limit.
            tokens = batch_size * length
            return lambda step: jnp.minimum(peak, batch_size * a * (jnp.asarray(step, jnp.float32) * tokens) ** b)


def make_optimizer(settings: options.Optimizer, num_steps: int) -> optax.GradientTransformation:
    """The optimiser for a run of `num_steps`. Its step count, and with it the learning rate, is in its state."""
    parts = []
    if settings.max_grad_norm:
        parts.append(optax.clip_by_global_norm(settings.max_grad_norm))
    match settings:
        case options.Adam(beta1=beta1, beta2=beta2, epsilon=epsilon, nesterov=nesterov):
            parts.append(optax.scale_by_adam(beta1, beta2, epsilon, nesterov=nesterov))
        case options.Lion(beta1=beta1, beta2=beta2):
            parts.append(optax.scale_by_lion(beta1, beta2))
        case options.RmsProp(beta1=beta1, beta2=beta2, eps=eps):
            parts.append(optax.scale_by_rms(beta2, eps, eps_in_sqrt=False, bias_correction=True))
            parts.append(optax.ema(beta1))
    if settings.weight_decay > 0:
        parts.append(optax.add_decayed_weights(settings.weight_decay, decay_mask))
    parts.append(optax.scale_by_learning_rate(learning_rate(settings, num_steps)))
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
