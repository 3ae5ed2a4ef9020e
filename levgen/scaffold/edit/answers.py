"""The answers that a new module is written from: those of the model's record, changed for this one."""

from collections.abc import Sequence

from levgen.architecture.schema import Architecture, Hyperparameter
from levgen.architecture.settings import apply_settings
from levgen.errors import LevgenError
from levgen.scaffold.complete import complete
from levgen.scaffold.edit.config_class import ConfigClass
from levgen.scaffold.edit.kinds import Kind
from levgen.scaffold.edit.model_file import ModelFile


def module_answers(model: Architecture, target: ModelFile, kind: Kind, settings: Sequence[str]) -> Architecture:
    """The answers of `model` after `settings`, with those stubs that the file `target` still has beside this kind's.

    An answer may name a config field of the file as it may a hyperparameter of the model. The reference stays: the
    config's table is still that of its HF class.

    Raises LevgenError for a setting that doesn't fit, and for the default of a field that the config has already.
    """
    for setting in settings:
        hyperparameter = setting.partition("=")[0].partition(".")[0].strip()
        if hyperparameter in model.hyperparameters and target.config.has(hyperparameter):
            raise LevgenError(
                f"--set {setting}: {target.config.name} has {hyperparameter} already, with a default of its own",
                f"change the default in {target.source.shown}",
            )
    answers = _with_fields_of(target.config, apply_settings(model, settings))
    stubs = tuple(part for part in target.stubs if part != kind.part)
    return complete(answers.changed(stubs=stubs)).changed(reference=model.reference)


def answers_after_filling(model: Architecture, answers: Architecture, kind: Kind) -> Architecture:
    """What the record of `model` says once the stub of this kind was filled from `answers`."""
    return answers.changed(
        stubs=tuple(part for part in model.stubs if part != kind.part),
        reference=model.reference if answers.groups() == model.groups() else None,
        hyperparameters={**model.hyperparameters, **answers.hyperparameters},
    )


def _with_fields_of(config: ConfigClass, architecture: Architecture) -> Architecture:
    """`architecture` with the config's own fields that answers refer to, such as a cap that a person added."""
    named = {name for _, name in architecture.factors() if name not in architecture.hyperparameters}
    found = {name: config.number(name) for name in sorted(named)}
    own = {name: Hyperparameter(default=value) for name, value in found.items() if value is not None}
    return architecture.changed(hyperparameters={**architecture.hyperparameters, **own})
