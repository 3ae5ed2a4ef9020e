"""Finding the implementation behind a model type or a folder: its config class and its causal language model."""

import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from levgen.errors import LevgenError, did_you_mean
from levgen.reference.hf_config import read_hf_config


@dataclass(frozen=True)
class Found:
    """An implementation that can be built: `model_class(config_class(...))`. `values`: of its `config.json`.

    `given`: fields that its class reads and doesn't name, which `values` therefore hold, by their paths.
    """

    model_type: str
    config_class: Any
    model_class: Any
    values: dict[str, Any]
    given: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        return str(self.model_class.__module__)

    def config(self, **changes: Any) -> Any:
        """A config of the reference with `changes`. A name with dots is a field of a config, or an entry of a mapping,
        in the config."""
        values = {**self.values, **{name: value for name, value in changes.items() if "." not in name}}
        for path, value in changes.items():
            if "." in path:
                values = with_entry(values, path.split("."), value)
        return self.config_class(**values)


def with_entry(held: Any, path: Sequence[str], value: Any) -> dict[str, Any]:
    """A mapping, or a config, as one in which `path` leads to `value`."""
    values = {**(held.to_dict() if hasattr(held, "to_dict") else held or {})}
    first, *rest = path
    values[first] = with_entry(values.get(first), rest, value) if rest else value
    return values


def find_type(model_type: str) -> Found:
    """The causal language model that the installed transformers has for `model_type`.

    Raises LevgenError with the nearest names where it has none.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    known = list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    name = next((key for key in known if key.replace("-", "_") == model_type.replace("-", "_")), None)
    if name is None:
        raise LevgenError(
            f"transformers has no causal language model of type {model_type!r}", did_you_mean(model_type, known)
        )
    config_class: Any = CONFIG_MAPPING[name]
    model_class: Any = MODEL_FOR_CAUSAL_LM_MAPPING[config_class]
    if isinstance(model_class, list | tuple):
        model_class = model_class[0]
    return Found(name, config_class, model_class, {})


def find_folder(folder: Path, *, trust_remote_code: bool = False) -> Found:
    """The causal language model of a folder with a `config.json`.

    A folder whose config names code of its own (`auto_map`) has that code imported and run: only with
    `trust_remote_code`. Raises LevgenError where it has no config, or asks for code without that consent.
    """
    data = read_hf_config(folder)
    values = {key: value for key, value in data.items() if key not in ("auto_map", "architectures", "model_type")}
    code = own_code(folder, data)
    if code is None:
        found = find_type(data["model_type"])
        return Found(found.model_type, found.config_class, found.model_class, values)
    if not trust_remote_code:
        raise LevgenError(
            f"{folder / 'config.json'} asks for code of its own: {', '.join(map(str, code.files))}",
            "Read it, and run it with --trust-remote-code.",
        )
    config_class, model_class = (_load_class(folder, entry) for entry in (code.config, code.model))
    return Found(str(config_class.model_type or data["model_type"]), config_class, model_class, values)


@dataclass(frozen=True)
class OwnCode:
    """The code that a folder brings along. `config`, `model`: `file.Class`; `files`: what can be run, those two first.

    The two name what is imported, and their files may import any other of the folder.
    """

    config: str
    model: str
    files: tuple[Path, ...]


def own_code(folder: Path, data: Mapping[str, Any]) -> OwnCode | None:
    """The code that the `config.json` of `folder` (as `data`) asks for; None where it asks for none. Runs nothing.

    Raises LevgenError where `auto_map` doesn't say what the model is, or names a file that isn't there.
    """
    entries = data.get("auto_map")
    if not entries:
        return None
    path = folder / "config.json"
    entries = entries if isinstance(entries, Mapping) else {}
    asked = [entries.get(key) for key in ("AutoConfig", "AutoModelForCausalLM")]
    config, model = (entry if isinstance(entry, str) and "." in entry else None for entry in asked)
    if config is None or model is None:
        raise LevgenError(
            f"auto_map of {path} doesn't name AutoConfig and AutoModelForCausalLM",
            "expected file.Class for each, as in configuration_willow.WillowConfig",
        )
    own = [_own_file(folder, entry) for entry in (config, model)]
    return OwnCode(config, model, tuple(dict.fromkeys([*own, *sorted(folder.rglob("*.py"))])))


def _own_file(folder: Path, entry: str) -> Path:
    """The file of `folder` that holds `entry`, `file.Class`. Raises LevgenError for one outside, or not there."""
    path = folder / f"{entry.rpartition('.')[0]}.py"
    if folder.resolve() not in path.resolve().parents or not path.is_file():
        raise LevgenError(f"auto_map names {entry}, and {folder} has no file {path.name}")
    return path


def _load_class(folder: Path, entry: str) -> Any:
    """The class `file.Class` of `folder`, imported from where it lies."""
    import importlib

    file, _, name = entry.rpartition(".")
    path = _own_file(folder, entry).resolve()
    # A package whose files are those of the folder, so that `from .config import ...` finds the file beside.
    package = f"levgen_reference_{folder.resolve().name.replace('.', '_')}"
    if package not in sys.modules:
        holder = types.ModuleType(package)
        holder.__path__ = [str(folder.resolve())]
        sys.modules[package] = holder
    module = importlib.import_module(f"{package}.{file}")
    if not hasattr(module, name):
        raise LevgenError(f"{path} has no class {name}")
    return getattr(module, name)
