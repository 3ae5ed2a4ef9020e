from pathlib import Path

import numpy as np
import pytest

from levgen.training.evaluate import mean_loss
from levgen.training.setup import prepare
from levgen.training.validate import load


def test_every_sequence_weighs_the_same(project: Path) -> None:
    """The rows that fill up the last batch count for nothing, and its loss for no more than its rows."""
    setup = prepare(load(Path("config/tiny.yaml"), overrides=["model.num_layers=1", "model.hidden_dim=16"]))
    state, rest = setup.training.init()
    eval_step = setup.training.eval_step(rest)
    sequences = setup.data.validation[:9]

    def loss(rows: np.ndarray, batch_size: int, max_batches: int | None = None) -> float:
        return mean_loss(eval_step, state.params, rows, batch_size=batch_size, max_batches=max_batches)

    whole = loss(sequences, 9)
    assert loss(sequences, 4) == pytest.approx(whole, rel=1e-6)  # 4 + 4 + 1
    assert loss(sequences, 4, max_batches=1) == pytest.approx(loss(sequences[:4], 4), rel=1e-6)
    assert loss(sequences, 4, max_batches=1) != pytest.approx(whole, rel=1e-6)
