"""Where the reference is listened to while a port is compared with it."""

import pytest

from levgen.architecture.catalogue import get
from levgen.scaffold.complete import complete
from levgen.scaffold.names import model_name
from levgen.scaffold.views.port import PortView


@pytest.mark.parametrize(
    ("model_type", "end", "path"),
    [
        ("llama", "in", "model.layers.1.mlp.gate_proj"),
        ("llama", "out", "model.layers.1.mlp.down_proj"),
        ("mixtral", "in", "model.layers.1.mlp"),  # block_sparse_moe in files
        ("phimoe", "out", "model.layers.1.mlp"),  # and so, with a router of another name
        ("kolibri1", "in", "model.layers.1.mlp"),  # of several modules in files
    ],
)
def test_the_module_that_is_compared_with_an_mlp(model_type: str, end: str, path: str) -> None:
    view = PortView(complete(get(model_type)), model_name(model_type))
    assert view.parity.path("mlp", "in" if end == "in" else "out", 1) == path
