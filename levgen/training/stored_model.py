"""A trained model with its tokenizer: of a run's checkpoint, or of a folder that transformers reads."""

from dataclasses import dataclass
from pathlib import Path

import equinox as eqx

from levgen.errors import LevgenError
from levgen.runtime import LmHeadModel, load_hf
from levgen.runtime.checkpoints.folder import CONFIG, read_config
from levgen.training.checkpoint import CheckpointError
from levgen.training.models import project_models
from levgen.training.project import Project
from levgen.training.setup import ModelSetup
from levgen.training.tokenizer import Tokenizer, load_tokenizer


@dataclass(frozen=True)
class StoredModel:
    """A model with its weights, and the tokenizer that it was trained with."""

    model: LmHeadModel
    tokenizer: Tokenizer


def of_run(setup: ModelSetup, step: int | None) -> tuple[StoredModel, int]:
    """The model of checkpoint `step` (None: the newest), and that step.

    Raises:
        CheckpointError: no checkpoint of that step, or one of another model.
    """
    checkpoints = setup.checkpoints
    steps = checkpoints.steps()
    if not steps:
        raise CheckpointError(
            f"no checkpoint in {checkpoints.folder}", "train first, or name the run: --set trainer.id="
        )
    chosen = steps[-1] if step is None else step
    if chosen not in steps:
        there = ", ".join(map(str, steps))
        raise CheckpointError(f"no checkpoint of step {chosen} in {checkpoints.folder}", f"there are those of {there}")
    checkpoints.compare(chosen, setup.identity)
    like, rest = setup.training.shapes()
    params = checkpoints.restore_params(chosen, like.params)
    return StoredModel(eqx.combine(params, rest), setup.tokenizer), chosen


def of_folder(folder: Path, project: Project) -> StoredModel:
    """The model in a folder that transformers reads, as the project's model of that type, with the folder's tokenizer.

    Raises:
        HfCheckpointError: no checkpoint, or one that doesn't fit the model.
        LevgenError: no model of the project, or more than one, reads that type.
        TokenizerError: no tokenizer in the folder.
    """
    wanted = str(read_config(folder).get("model_type"))
    models, broken = project_models(project)
    readers = {name: cls for name, cls in models.items() if cls.hf_fields.model_type(cls) == wanted}
    named = wanted.replace("-", "_")
    if named not in readers and len(readers) != 1:
        found = f"several read it: {', '.join(readers)}" if readers else f"no model in {project.models} reads it"
        hint = f"levgen new-model {named} --from {folder} writes one"
        raise LevgenError(f"{folder / CONFIG} is of type {wanted!r}, and {found}", "\n".join([hint, *broken]))
    cls = readers[named] if named in readers else next(iter(readers.values()))
    tokenizer = load_tokenizer(str(folder), project)
    return StoredModel(load_hf(cls.from_hf_config(read_config(folder)).model_type, folder), tokenizer)
