"""Layers with experts and layers without, and what else is decided by which of them a layer is."""

import sys
from types import ModuleType

import pytest

from levgen.architecture.catalogue import get
from levgen.architecture.settings import apply_settings
from levgen.scaffold.complete import complete
from levgen.scaffold.names import model_name
from levgen.scaffold.port import render_model

WINDOW, FULL = "sliding_attention", "full_attention"


def _rendered(*settings: str) -> ModuleType:
    architecture = complete(apply_settings(get("llama"), settings))
    module = ModuleType("two_kinds")
    sys.modules["two_kinds"] = module  # dataclasses look their own module up
    exec(compile(render_model(architecture, model_name("two_kinds")), "two_kinds.py", "exec"), vars(module))
    return module


@pytest.mark.parametrize(
    ("step", "without", "expected"),
    [
        (1, (), "sssss"),
        (2, (), "dsdsd"),
        (3, (), "ddsdd"),
        (1, (0, 3), "dssds"),
        (2, (1, 2), "dddsd"),
    ],
)
def test_the_last_of_every_few_layers_has_experts(step: int, without: tuple[int, ...], expected: str) -> None:
    module = _rendered("moe.layers=stepped")
    config = module.TwoKindsConfig(num_layers=5, sparse_step=step, dense_layers=without)
    assert "".join(kind[0] for kind in config.mlp_layer_types) == expected


def test_layers_whose_numbers_are_listed_have_experts() -> None:
    module = _rendered("moe.layers=numbered")
    config = module.TwoKindsConfig(num_layers=5, sparse_layers=(1, 4, 9))
    assert "".join(kind[0] for kind in config.mlp_layer_types) == "dsdds"


def test_layers_without_a_window_rotate_where_they_have_no_experts() -> None:
    module = _rendered("moe.layers=listed", "attention.window=by_layer", "positions.layers=windowed_or_dense")
    config = module.TwoKindsConfig(
        num_layers=4, layer_types=(FULL, WINDOW, FULL, WINDOW), mlp_layer_types=("dense", "dense", "sparse", "sparse")
    )
    assert config.rotates.array.tolist() == [True, True, False, True]
