"""The sizes that a YAML's `model` section gives, completed by the defaults of the model's config class."""

import ast

from levgen.check.files.names import constant
from levgen.check.files.yaml_file import YamlFile


def sizes(file: YamlFile) -> dict[str, int]:
    """Every whole number of the model by field name: from the YAML, else the default in the source of its config."""
    found: dict[str, int] = {}
    config = file.model_class
    if config is not None:
        for name, field in config.all_fields.items():
            default = constant(field.default)
            if isinstance(default, int) and not isinstance(default, bool):
                found[name] = default
    section = file.get("model")
    for name, value in section.items() if isinstance(section, dict) else ():
        if isinstance(value, int) and not isinstance(value, bool):
            found[name] = value
        else:
            found.pop(name, None)
    return found


def head_size_is_given(file: YamlFile, known: dict[str, int]) -> bool:
    """Whether heads have a size of their own, so that it need not be hidden size over heads."""
    # Latent attention has several: `qk_nope_head_dim`, `v_head_dim`.
    if any(name.endswith("head_dim") for name in known):
        return True
    config = file.model_class
    # A default that is no number in the source, such as a call, may give one too.
    field = config.all_fields.get("head_dim") if config is not None else None
    return field is not None and field.default is not None and not isinstance(field.default, ast.Constant)
