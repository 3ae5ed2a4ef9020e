"""Handing a training YAML over to Levanter, with the project's models known to it."""

import importlib.util
import os
import runpy
import sys
from pathlib import Path

from levgen.errors import LevgenError
from levgen.runtime import LmConfig
from levgen.training.levanter_hf import Converter
from levgen.training.models import find_class
from levgen.training.project import find_project
from levgen.training.validate import check, problems_error
from levgen.training.yaml_source import read_yaml

HOW_TO_INSTALL = (
    "Levanter needs Python >= 3.12 and best an environment of its own, because it pins versions of jax and others:\n"
    "  python3.12 -m venv .venv-levanter\n"
    "  .venv-levanter/bin/pip install levgen 'marin-levanter>=0.2.227.dev40316220070'\n"
    "then run this command with .venv-levanter/bin/levgen."
)


def run_levanter(path: Path, overrides: list[str]) -> None:
    """Runs `levanter.main.train_lm` on the YAML `path` in this process, after importing and registering its model.

    `overrides` such as `trainer.num_train_steps=20` become Levanter's own options.

    Raises:
        LevgenError: Levanter is not installed here, the YAML has unknown or renamed keys, or its model is not found.
    """
    if importlib.util.find_spec("levanter") is None:
        raise LevgenError("Levanter is not installed in this environment", HOW_TO_INSTALL)
    source = read_yaml(path).with_overrides(overrides)
    problems = check(source, "levanter")[1]
    if problems:
        raise problems_error(path, problems)
    project = find_project(path)
    kind = source.values["model"]["type"]
    _register(kind, find_class(kind, project))
    path = path.absolute()
    os.chdir(project.root)  # Levanter sees relative paths from the working directory
    sys.argv = ["train_lm", "--config_path", str(path), *(part for item in overrides for part in _option(item))]
    runpy.run_module("levanter.main.train_lm", run_name="__main__", alter_sys=True)


def _register(kind: str, cls: type[LmConfig]) -> None:
    """Makes `type: <kind>` of Levanter's YAML mean the project's model, even where Levanter has one of that name.

    Levanter then finds a converter on its config, as on those of its own models, for `hf_save_path` and
    `initialize_from_hf`.
    """
    from levanter.compat.hf_checkpoints import HFCompatConfig
    from levanter.models.lm_model import LmConfig as LevanterLmConfig

    LevanterLmConfig.get_known_choices()[kind] = cls
    HFCompatConfig.register(cls)
    cls.hf_checkpoint_converter = lambda self: Converter(type(self))  # type: ignore[attr-defined]


def _option(assignment: str) -> list[str]:
    """`trainer.seed=1` as Levanter's command line has it: `--trainer.seed 1`."""
    key, _, value = assignment.partition("=")
    return [f"--{key.strip()}", value.strip()]
