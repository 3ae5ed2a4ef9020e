"""Random named arrays and the distance between results, for the tests of this folder."""

import haliax as hax
import jax.numpy as jnp
import numpy as np
from haliax import Axis, NamedArray


def normal(seed: int, *axes: Axis, std: float = 1.0) -> NamedArray:
    """fp32 values of that standard deviation."""
    values = np.random.default_rng(seed).normal(0.0, std, [axis.size for axis in axes])
    return hax.named(jnp.asarray(values, dtype=jnp.float32), axes)


def relative_error(ours, reference) -> float:
    """max|difference| / max|reference|."""
    ours, reference = (np.asarray(getattr(x, "array", x), dtype=np.float64) for x in (ours, reference))
    assert ours.shape == reference.shape
    assert np.isfinite(ours).all()
    assert np.abs(reference).max() > 0
    return float(np.abs(ours - reference).max() / np.abs(reference).max())
