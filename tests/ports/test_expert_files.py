"""Experts load from both of transformers' namings, and save in both, bit for bit."""

from pathlib import Path

import jax
import numpy as np
import pytest
from haliax import Axis
from test_cards import Rendered, render

from levgen.architecture.catalogue import get
from levgen.runtime import load_hf, save_hf
from levgen.runtime.checkpoints.folder import read_headers
from levgen.runtime.parity import Ported
from levgen.scaffold.complete import complete

Vocab = Axis("vocab", 131)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["mixtral", "granitemoe", "dots1"])
def test_both_namings(model_type: str, tmp_path: Path) -> None:
    rendered: Rendered = render(complete(get(model_type)), model_type, tmp_path)
    ported = rendered.port(rendered.tiny)
    ported.reference.save_pretrained(tmp_path / "memory", save_original_format=False)
    ported.reference.save_pretrained(tmp_path / "files")
    in_memory, in_files = (set(read_headers(tmp_path / name)) for name in ("memory", "files"))
    assert in_memory != in_files
    loaded = [load_hf(rendered.model_class, tmp_path / name) for name in ("memory", "files")]
    for one, other in zip(*map(jax.tree.leaves, loaded), strict=True):
        np.testing.assert_array_equal(one, other)
    for original, names in ((False, in_memory), (True, in_files)):
        save_hf(loaded[0], tmp_path / "ours", save_original_format=original)
        assert set(read_headers(tmp_path / "ours")) == names
        assert Ported.differing_tensors(ported.reference, tmp_path / "ours") == []
