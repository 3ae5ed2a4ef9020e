import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from levgen.runtime import XIelu
from levgen.training.models import import_model
from levgen.training.optim import decay_mask, learning_rate, make_optimizer
from levgen.training.schema_optimizer import Adam, Lion, RmsProp


def rates(steps: int, **settings: object) -> list[float]:
    schedule = learning_rate(Adam(learning_rate=1.0, min_lr_ratio=0.1, **settings), steps)
    return [float(schedule(step)) for step in range(steps + 1)]


def squared(fraction: float) -> float:
    return 0.1 + 0.9 * (0.5 * (1 + math.cos(math.pi * fraction))) ** 2


def cosine(fraction: float) -> float:
    return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * fraction))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"lr_schedule": "constant", "warmup": 0}, [1.0] * 11),
        ({"lr_schedule": "linear", "warmup": 0}, [1 - 0.09 * step for step in range(11)]),
        ({"lr_schedule": "cosine", "warmup": 0}, [cosine(step / 10) for step in range(11)]),
        ({"lr_schedule": "cosine", "warmup": 0.2}, [0, 0.5, *(cosine(step / 8) for step in range(9))]),
        ({"lr_schedule": "cosine", "warmup": 2}, [0, 0.5, *(cosine(step / 8) for step in range(9))]),
        ({"lr_schedule": {"type": "cosine", "exponent": 2.0}, "warmup": 0}, [squared(step / 10) for step in range(11)]),
        ({"lr_schedule": "polynomial", "warmup": 0}, [0.1 + 0.9 * (1 - step / 10) ** 2 for step in range(11)]),
        ({"lr_schedule": "inv", "warmup": 0}, [1 / (9 * max(step, 1) / 10 + 1) for step in range(11)]),
        (
            {"lr_schedule": {"type": "inv_sqrt", "timescale": 4}, "warmup": 2},
            [0, 0.5, *(min(1, (4 / (step + 2)) ** 0.5) for step in range(9))],
        ),
        (
            {"lr_schedule": "inv_sqrt_decay", "warmup": 0},
            [max(0.1, 1 / (1 + 28.6 * step / 10) ** 0.5) for step in range(11)],
        ),
        (
            {"lr_schedule": {"type": "power", "batch_size": 4, "seq_length": 8, "a": 1.0}, "warmup": 0},
            [1, *(min(1, 4 * (32 * step) ** -0.51) for step in range(1, 11))],
        ),
        # Warm-up, stable, decay.
        ({"lr_schedule": "linear", "warmup": 2, "decay": 4}, [0, 0.5, 1, 1, 1, 1, 1, 0.775, 0.55, 0.325, 0.1]),
        ({"lr_schedule": "linear", "warmup": 2, "decay": 0.4}, [0, 0.5, 1, 1, 1, 1, 1, 0.775, 0.55, 0.325, 0.1]),
        ({"lr_schedule": "cosine", "warmup": 2, "decay": 0}, [0, 0.5, *[1.0] * 9]),
        ({"lr_schedule": "cosine", "warmup": 1}, [step / 10 for step in range(11)]),  # 1 is the whole run
        ({"lr_schedule": "cosine", "warmup": 20}, [step / 10 for step in range(11)]),  # no longer than the run
    ],
)
def test_schedule(settings: dict[str, object], expected: list[float]) -> None:
    np.testing.assert_allclose(rates(10, **settings), expected, atol=1e-6)


def test_a_step_is_adamw_with_clipping() -> None:
    adam = Adam(learning_rate=0.1, weight_decay=0.5, warmup=0, lr_schedule="constant", max_grad_norm=1.0)
    params, grads = {"w": jnp.array([1.0, -2.0])}, {"w": jnp.array([30.0, 40.0])}
    optimizer = make_optimizer(adam, 10)
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    clipped = np.array([0.6, 0.8])  # of norm 1
    direction = clipped / (np.abs(clipped) + adam.epsilon)  # m / sqrt(v) at the first step, after bias correction
    expected = np.array([1.0, -2.0]) - 0.1 * (direction + 0.5 * np.array([1.0, -2.0]))
    np.testing.assert_allclose(optax.apply_updates(params, updates)["w"], expected, rtol=1e-5)


def test_nesterov_lion_and_rmsprop() -> None:
    """Two steps of each against its definition, without clipping and decay."""
    params = {"w": jnp.array([1.0, -2.0])}
    gradients = [np.array([0.3, -0.4]), np.array([-0.5, 0.1])]
    plain: dict[str, Any] = {
        "learning_rate": 1.0,
        "weight_decay": 0.0,
        "warmup": 0,
        "lr_schedule": "constant",
        "max_grad_norm": None,
    }

    def updates(settings: Adam | Lion | RmsProp) -> list[np.ndarray]:
        optimizer = make_optimizer(settings, 10)
        state, found = optimizer.init(params), []
        for gradient in gradients:
            update, state = optimizer.update({"w": jnp.asarray(gradient, jnp.float32)}, state, params)
            found.append(np.asarray(update["w"]))
        return found

    first, second = gradients
    lion = updates(Lion(**plain, beta1=0.9, beta2=0.95))
    np.testing.assert_allclose(lion[0], -np.sign(first))
    np.testing.assert_allclose(lion[1], -np.sign(0.9 * 0.05 * first + 0.1 * second))
    rms = updates(RmsProp(**plain, beta1=0.9, beta2=0.99))
    np.testing.assert_allclose(rms[0], -np.sign(first), rtol=1e-5)
    mean_square = (0.99 * 0.01 * first**2 + 0.01 * second**2) / (1 - 0.99**2)
    scaled = second / np.sqrt(mean_square)
    np.testing.assert_allclose(rms[1], -(0.9 * 0.1 * np.sign(first) + 0.1 * scaled) / (1 - 0.9**2), rtol=1e-5)
    nesterov = updates(Adam(**plain, beta1=0.9, beta2=0.95, nesterov=True))
    looked_ahead = 0.9 * (0.1 * first) / (1 - 0.9**2) + 0.1 * first / (1 - 0.9)
    np.testing.assert_allclose(nesterov[0], -looked_ahead / np.abs(first), rtol=1e-5)


def test_decay_spares_norms_biases_and_embeddings(project: Path) -> None:
    module = import_model(project / "models" / "tiny.py")
    from haliax import Axis

    make = eqx.filter_eval_shape(module.TinyConfig().build, Axis("vocab", 8), key=jax.random.key(0))
    params = eqx.filter(make, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
    mask = decay_mask(params)
    assert jax.tree.structure(mask) == jax.tree.structure(params)
    spared = [jax.tree_util.keystr(path) for path, on in jax.tree_util.tree_leaves_with_path(mask) if not on]
    decayed = [jax.tree_util.keystr(path) for path, on in jax.tree_util.tree_leaves_with_path(mask) if on]

    def fields(paths: list[str]) -> set[str]:
        return {path.partition("[")[0].removesuffix(".array").removeprefix(".layers.stacked") for path in paths}

    assert fields(spared) == {
        ".embeddings.weight",
        ".input_norm.weight",
        ".mlp_norm.weight",
        ".norm.weight",
        ".o_proj.bias",
    }
    assert fields(decayed) == {
        f".{name}.weight" for name in ("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj", "lm_head")
    }


def test_decay_spares_what_nothing_trains() -> None:
    mask = decay_mask(XIelu.init())
    decayed = {field.name: jax.tree.leaves(getattr(mask, field.name)) for field in dataclasses.fields(mask)}
    assert decayed == {"alpha_p": [True], "alpha_n": [True], "beta_bias": [False], "eps_bias": [False]}


def test_schedule_values_are_json_numbers() -> None:
    assert json.loads(json.dumps(rates(2, warmup=0)))[0] == 1.0
