import json
import math
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from levgen.training.models import import_model
from levgen.training.optim import decay_mask, learning_rate, make_optimizer
from levgen.training.schema import Adam


def rates(steps: int, **settings: object) -> list[float]:
    schedule = learning_rate(Adam(learning_rate=1.0, min_lr_ratio=0.1, **settings), steps)
    return [float(schedule(step)) for step in range(steps + 1)]


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


def test_schedule_values_are_json_numbers() -> None:
    assert json.loads(json.dumps(rates(2, warmup=0)))[0] == 1.0
