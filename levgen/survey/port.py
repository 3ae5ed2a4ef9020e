"""The model file that is written from the answers, with configs and weights of the reference."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError
from levgen.importing import import_file
from levgen.reference.find import Found
from levgen.reference.sizing.values import VOCAB
from levgen.survey.observe.shapes import LONG


def load_port(architecture: Architecture) -> Any:
    """The model file of `architecture`, rendered and imported."""
    from levgen.scaffold.names import model_name
    from levgen.scaffold.port import render_model

    name = model_name("surveyed")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "surveyed.py"
        path.write_text(render_model(architecture, name), encoding="utf-8")
        return import_file(path, "levgen_surveyed")


def with_weights(architecture: Architecture, port: Any, reference: Any) -> Any:
    """The port with the config and the weights of `reference`.

    Raises LevgenError where either doesn't fit.
    """
    from levgen.runtime.abstract import abstract_model
    from levgen.runtime.testing import load_from_torch, module_from_torch

    if architecture.reference is not None:
        return load_from_torch(port.SurveyedLMHeadModel, reference)
    config = _read(architecture, port, reference.config)
    return module_from_torch(abstract_model(port.SurveyedLMHeadModel, config, VOCAB), reference)


def unlike_at_full_size(architecture: Architecture, port: Any, found: Found) -> list[str]:
    """The tensors that the port has in other shapes than the reference, or lacks, at the config class's defaults.

    What is one number in a tiny config may be two in a large one. Takes no memory: neither has any weights. Nothing is
    compared where the reference is not built from its defaults, or the port refuses them by name.
    """
    import torch

    from levgen.runtime.abstract import abstract_model
    from levgen.runtime.checkpoints.load import vocab_size
    from levgen.runtime.testing import unlike_shapes

    try:
        config = found.config()
        with torch.device("meta"):
            reference = found.model_class(config)
    except Exception:  # whatever a reference wants to be told
        return []
    try:
        ours = _read(architecture, port, config)
    except LevgenError:
        return []
    return unlike_shapes(abstract_model(port.SurveyedLMHeadModel, ours, vocab_size(config)), reference)


def _read(architecture: Architecture, port: Any, hf_config: Any) -> Any:
    """The port's config with the values of the reference's.

    Raises LevgenError where it refuses them.
    """
    if architecture.reference is not None:
        return port.SurveyedConfig.from_hf_config(hf_config)
    from levgen.reference.hf_config import _unset
    from levgen.runtime.rotary import Rotary

    values: dict[str, Any] = {}
    for name, parameter in architecture.hyperparameters.items():
        value: Any = parameter.default
        if parameter.hf is not None:
            value = getattr(hf_config, parameter.hf.partition(".")[0], None)
            for key in parameter.hf.split(".")[1:]:
                value = value[key]
            if value is None and parameter.unset is not None:
                value = _unset(parameter.unset)(hf_config)
            if isinstance(value, Mapping):
                value = Rotary.from_hf(value, max_seq_len=LONG)
        elif isinstance(value, dict):
            value = Rotary(**value)
        values[name] = tuple(value) if isinstance(value, list) else value
    return port.SurveyedConfig(**values)
