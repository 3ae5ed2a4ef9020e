"""The norm that add-module writes out computes what the runtime's norm does, bit for bit, in every dtype."""

import dataclasses
import zlib

import haliax as hax
import jax
import numpy as np
import pytest
from haliax import Axis

from levgen.architecture.settings import apply_settings
from levgen.runtime import LayerNorm, RmsNorm
from levgen.scaffold.blank import blank
from levgen.scaffold.complete import complete
from levgen.scaffold.names import model_name
from levgen.scaffold.port import render_module


def written(number, *settings):
    """The namespace of a file with a config and a norm."""
    name = model_name(f"norm_{number}")
    architecture = complete(apply_settings(blank(name), settings))
    namespace = {"__name__": name.snake}
    exec(compile(render_module(architecture, name, "norm", embeddings_class=False), name.snake, "exec"), namespace)
    return namespace[f"{name.camel}Config"], namespace[f"{name.camel}Norm"]


@pytest.mark.parametrize(
    ("settings", "norm", "options"),
    [
        ((), RmsNorm, {}),
        (("norm.offset=true",), RmsNorm, {"offset": 1.0}),
        (("norm.kind=layer",), LayerNorm, {"use_bias": False}),
        (("norm.kind=layer", "norm.bias=true"), LayerNorm, {"use_bias": True}),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_values(request, settings, norm, options, dtype):
    config_class, norm_class = written(zlib.crc32(request.node.name.encode()), *settings)
    config = config_class(hidden_dim=48, norm_eps=1e-3)
    k_x, k_weight, k_bias = jax.random.split(jax.random.PRNGKey(0), 3)
    x = (2 * hax.random.normal(k_x, (Axis("position", 7), config.Embed)) + 1).astype(dtype)
    parameters = {"weight": hax.random.normal(k_weight, config.Embed).astype(dtype)}
    if options.get("use_bias"):
        parameters["bias"] = hax.random.normal(k_bias, config.Embed).astype(dtype)

    fresh, expected = norm_class.init(config), norm.init(config.Embed, eps=1e-3, **options)
    np.testing.assert_array_equal(fresh(x).array, expected(x).array)
    out = dataclasses.replace(fresh, **parameters)(x)
    assert (out.axes, out.dtype) == (x.axes, x.dtype)
    np.testing.assert_array_equal(out.array, dataclasses.replace(expected, **parameters)(x).array)
