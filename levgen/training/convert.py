"""Between a run's checkpoints and folders of transformers."""

from collections.abc import Callable
from pathlib import Path

from levgen.errors import LevgenError
from levgen.training.checkpoint import CheckpointError
from levgen.training.hf_export import write_hf_folder
from levgen.training.loop import first_state
from levgen.training.placing import one_device
from levgen.training.setup import prepare, prepare_model
from levgen.training.stored_model import of_run
from levgen.training.validate import Loaded


def to_hf(loaded: Loaded, folder: Path, *, step: int | None, dtype: str | None) -> int:
    """Writes the model of checkpoint `step` (None: the newest) to `folder`; returns the step.

    Raises:
        CheckpointError: no checkpoint of that step, or one of another model.
        LevgenError: `folder` holds something that is no export.
    """
    setup = prepare_model(loaded, placement=one_device())
    _refuse_foreign(folder)
    stored, chosen = of_run(setup, step)
    write_hf_folder(stored.model, folder.absolute(), stored.tokenizer, dtype=dtype)
    return chosen


def from_hf(loaded: Loaded, *, note: Callable[[str], None]) -> Path:
    """Writes the checkpoint of step 0 from the folder that `initialize_from_hf` names; returns the run's folder.

    Raises:
        CheckpointError: the run has a checkpoint.
        HfCheckpointError: the folder doesn't fit the model.
    """
    setup = prepare(loaded, placement=one_device())
    checkpoints = setup.model.checkpoints
    newest = checkpoints.latest()
    if newest is not None:
        raise CheckpointError(
            f"{checkpoints.folder} has a checkpoint of step {newest}: nothing was written over it",
            "name another run (--set trainer.id=NAME), or move that folder",
        )
    with setup.training.placement.active():
        state, _ = first_state(setup.model, note)
    checkpoints.save(0, state, setup.identity)
    return checkpoints.folder


def _refuse_foreign(folder: Path) -> None:
    """An export replaces the folder whole, so what is there must be an export."""
    if folder.is_file():
        raise LevgenError(f"--to expects a folder, and {folder} is a file")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "config.json").is_file():
        raise LevgenError(f"{folder} is not empty and no checkpoint of transformers: give a new folder to --to")
