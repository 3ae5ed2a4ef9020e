from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from levgen.training.checkpoint import CheckpointError, Checkpoints, is_kept
from levgen.training.schema import Checkpointer, Keep


def state(value: float) -> dict[str, object]:
    return {
        "step": jnp.asarray(3, jnp.int32),
        "params": (jnp.full((4, 2), value, jnp.float32), None),
        "half": jnp.ones(3, jnp.bfloat16),
    }


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "run", Checkpointer(keep=[Keep(every=10)]))


def test_round_trip_is_exact(checkpoints: Checkpoints) -> None:
    written = state(1 / 3)
    checkpoints.save(3, written, {"seed": 1})
    checkpoints.compare(3, {"seed": 1})
    read = checkpoints.restore(3, state(0.0))
    assert jax.tree.structure(read) == jax.tree.structure(written)
    for before, after in zip(jax.tree.leaves(written), jax.tree.leaves(read), strict=True):
        assert before.dtype == after.dtype
        assert np.array_equal(before, after)


def test_newest_and_kept_steps_stay(checkpoints: Checkpoints) -> None:
    assert checkpoints.latest() is None
    assert not checkpoints.folder.exists()
    for step in (4, 10, 13, 20, 21):
        checkpoints.save(step, state(step), {})
    checkpoints.save(21, state(21), {})  # at the end of a run that saved at its last step already
    assert checkpoints.latest() == 21
    assert sorted(entry.name for entry in checkpoints.folder.iterdir()) == ["step_10", "step_20", "step_21"]


def test_intervals_of_keep() -> None:
    settings = Checkpointer(keep=[Keep(every=10, until=30), Keep(every=100)])
    assert [step for step in range(1, 301) if is_kept(step, settings)] == [10, 20, 30, 100, 200, 300]
    assert not is_kept(10, Checkpointer(keep=None))


def test_levanters_checkpoints_beside_ours_are_left_alone(checkpoints: Checkpoints) -> None:
    (checkpoints.folder / "step-99").mkdir(parents=True)
    (checkpoints.folder / "step-99" / "metadata.json").write_text("{}")
    checkpoints.save(4, state(1), {})
    checkpoints.save(5, state(2), {})
    assert checkpoints.latest() == 5
    assert (checkpoints.folder / "step-99" / "metadata.json").exists()


def test_another_run_is_refused_with_every_difference(checkpoints: Checkpoints) -> None:
    checkpoints.save(3, state(1), {"seed": 1, "data": "a", "batch": 8})
    with pytest.raises(CheckpointError) as caught:
        checkpoints.compare(3, {"seed": 2, "data": "b", "batch": 8})
    assert str(caught.value) == (
        f"the checkpoint in {checkpoints.folder}, step 3, is of another run:\n"
        "  seed: 1 then, 2 now\n"
        "  data: a then, b now\n"
        "give the YAML and the --set of that run; "
        "`levgen train --fresh` starts over and keeps the old under another name"
    )


def test_other_arrays_are_refused(checkpoints: Checkpoints) -> None:
    checkpoints.save(3, state(1), {})
    other = {**state(0), "more": jnp.zeros(2)}
    with pytest.raises(CheckpointError, match=r"array \['more'\]: none then, float32\[2\] now"):
        checkpoints.restore(3, other)
    with pytest.raises(CheckpointError, match=r"array \['half'\]: bfloat16\[3\] then, bfloat16\[5\] now"):
        checkpoints.restore(3, {**state(0), "half": jnp.ones(5, jnp.bfloat16)})


def test_damaged_checkpoint(checkpoints: Checkpoints) -> None:
    checkpoints.save(3, state(1), {})
    (checkpoints.folder / "step_3" / "run" / "metadata").write_text("{")
    with pytest.raises(CheckpointError, match="step 3 can't be read"):
        checkpoints.restore(3, state(0))


def test_half_written_checkpoint_is_not_seen(checkpoints: Checkpoints) -> None:
    checkpoints.save(3, state(1), {})
    (checkpoints.folder / "step_9.orbax-checkpoint-tmp" / "state").mkdir(parents=True)  # as a kill while saving leaves
    assert checkpoints.latest() == 3


def test_set_aside_takes_the_next_free_name(checkpoints: Checkpoints) -> None:
    assert checkpoints.set_aside() is None
    for number in (1, 2):
        checkpoints.save(3, state(1), {})
        assert checkpoints.set_aside() == checkpoints.folder.with_name(f"run.{number}")
    assert checkpoints.latest() is None
