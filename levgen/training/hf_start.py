"""Starting from a folder that transformers wrote: `initialize_from_hf` and `use_hf_model_config`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haliax import Axis
from haliax.partitioning import ResourceMapping

from levgen.errors import did_you_mean
from levgen.runtime import LmConfig, LmHeadModel
from levgen.runtime.abstract import abstract_model
from levgen.runtime.checkpoints.folder import CONFIG, check_architecture, read_config
from levgen.runtime.checkpoints.load import read_weights, vocab_size
from levgen.training.project import Project
from levgen.training.validate import problems_error
from levgen.training.yaml_source import YamlSource


@dataclass(frozen=True)
class HfStart:
    """The folder that a run starts from, and what its config.json says, as a transformers config."""

    folder: Path
    hf_config: Any

    def model_config(self, cls: type[LmConfig]) -> LmConfig:
        """The model's config as config.json has it."""
        return cls.from_hf_config(self.hf_config)

    def load(
        self,
        config: LmConfig,
        Vocab: Axis,
        *,
        dtype: Any,
        axis_mapping: ResourceMapping | None = None,
        note: Callable[[str], None],
    ) -> LmHeadModel:
        """The weights of the folder in the model of `config`; a vocabulary of another size is cut or grown to `Vocab`.

        Raises:
            HfCheckpointError: no weights, a format that can't be read, or tensors missing, misshapen or unexpected, all
                listed.
        """
        stored_size = vocab_size(self.hf_config)
        template = abstract_model(config.model_type, config, stored_size)
        model = read_weights(template, self.folder, dtype=dtype, axis_mapping=axis_mapping)
        if Vocab.size == stored_size:
            return model
        how = "cut" if Vocab.size < stored_size else "grown, each new row the mean of the old,"
        note(f"the vocabulary of {self.folder}, {stored_size} tokens, is {how} to {Vocab.size}")
        return model.resize_vocab(Vocab.size)


def find_hf_start(source: YamlSource, cls: type[LmConfig], project: Project) -> HfStart | None:
    """What `initialize_from_hf` names, for a model whose config class is `cls`; None where the YAML hasn't got it.

    Raises:
        LevgenError: no such folder, with the key's line.
        HfConfigError: the folder is of another model type.
        HfCheckpointError: a config.json that is missing, broken or of another architecture.
    """
    name = source.values.get("initialize_from_hf")
    if not name:
        return None
    folder = project.find(str(name))
    if not (folder / CONFIG).is_file():
        beside = [entry.name for entry in folder.parent.iterdir()] if folder.parent.is_dir() else []
        guess = None if folder.is_dir() else did_you_mean(folder.name, beside)
        hint = guess or "names on a hub: `--engine levanter` serves them"
        message = f"expected a folder with a {CONFIG}, got {name!r}; {hint}"
        raise problems_error(source.path, [source.problem(("initialize_from_hf",), message)])
    as_read = read_config(folder)
    hf_config = cls.hf_fields.standard(cls, as_read)
    check_architecture(cls.__name__, hf_config.model_type, as_read)
    return HfStart(folder, hf_config)
