from pathlib import Path

import numpy as np
import pytest

from levgen.training.evaluate import evaluate
from levgen.training.placing import one_device
from levgen.training.setup import prepare
from levgen.training.validate import load


def test_every_sequence_weighs_the_same(project: Path) -> None:
    """The rows that fill up the last batch count for nothing, and its loss for no more than its rows."""
    small = ["model.num_layers=1", "model.hidden_dim=16"]
    setup = prepare(load(Path("config/tiny.yaml"), overrides=small), placement=one_device())
    sequences = setup.validation["shipped"][:9]
    with setup.training.placement.active():
        state, rest = setup.training.init()
        eval_step = setup.training.eval_step(rest)

        def losses(batch_size: int, max_batches: int | None = None, **components: np.ndarray) -> dict[str, float]:
            return evaluate(eval_step, state.params, components, batch_size=batch_size, max_batches=max_batches)

        whole = losses(9, a=sequences)["eval_loss"]
        assert losses(4, a=sequences) == {"eval_loss": pytest.approx(whole, rel=1e-6)}  # 4 + 4 + 1
        first = losses(4, a=sequences[:4])["eval_loss"]
        assert losses(4, max_batches=1, a=sequences)["eval_loss"] == pytest.approx(first, rel=1e-6)
        assert first != pytest.approx(whole, rel=1e-6)
        rest_of_them = losses(9, b=sequences[4:])["eval_loss"]
        assert losses(9, a=sequences[:4], b=sequences[4:]) == {
            "eval_loss": pytest.approx(whole, rel=1e-6),
            "eval_loss/a": pytest.approx(first, rel=1e-6),
            "eval_loss/b": pytest.approx(rest_of_them, rel=1e-6),
        }
