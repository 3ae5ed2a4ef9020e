"""Finding the config class of a model file, whatever a person called it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import libcst as cst
from libcst.helpers import get_full_name_for_node

from levgen.errors import LevgenError
from levgen.scaffold.edit.bindings import Bindings
from levgen.scaffold.edit.config_class import ConfigClass
from levgen.scaffold.edit.source import PythonSource

_MODULES = ("levgen.runtime", "levgen.runtime.config")


def find_config(source: PythonSource, names: Bindings, model: str, prefix: str) -> ConfigClass:
    """The config class of `source`: registered as `model`, or called `{prefix}Config`, or else the only one there is.

    Raises LevgenError where there is none, where several may be meant, and where a base class is in another file, since
    its fields can't be seen.
    """
    classes = {name: node for name, node in names.statements.items() if isinstance(node, cst.ClassDef)}
    family = _Family(classes, _names_of_lm_config(names))
    found = {name: node for name, node in classes.items() if _registrations(node) or family.is_lm_config(node)}
    chosen = (
        {name: node for name, node in found.items() if model in _registrations(node)}
        or {name: node for name, node in found.items() if name == f"{prefix}Config"}
        or found
    )
    register = f'@LmConfig.register_subclass("{model}")'
    if not chosen:
        raise LevgenError(f"{source.shown} has no config class", f"expected a dataclass under {register}")
    if len(chosen) > 1:
        raise LevgenError(
            f"{source.shown} has several config classes: {', '.join(chosen)}", f"mark one with {register}"
        )
    node = next(iter(chosen.values()))
    bases, elsewhere = family.bases(node)
    if elsewhere:
        raise LevgenError(
            f"{source.shown}: {node.name.value} is a subclass of {elsewhere[0]}, whose fields are not in this file",
            "levgen adds to a config all of whose fields it can read: a subclass of LmConfig",
        )
    return ConfigClass(source, node, bases)


@dataclass(frozen=True)
class _Family:
    """The classes of a file, and what it calls LmConfig."""

    classes: Mapping[str, cst.ClassDef]
    lm_config: Sequence[str]

    def is_lm_config(self, node: cst.ClassDef) -> bool:
        return any(base in self.lm_config for one in (node, *self.bases(node)[0]) for base in _base_names(one))

    def bases(self, node: cst.ClassDef) -> tuple[list[cst.ClassDef], list[str]]:
        """The base classes in this file, theirs too, and the names of those elsewhere that are no LmConfig."""
        here: list[cst.ClassDef] = []
        elsewhere = []
        waiting = [node]
        while waiting:
            for name in _base_names(waiting.pop()):
                base = self.classes.get(name)
                if base is None and name not in self.lm_config:
                    elsewhere.append(name)
                elif base is not None and base not in here:
                    here.append(base)
                    waiting.append(base)
        return here, elsewhere


def _registrations(node: cst.ClassDef) -> list[str]:
    """The names under which a class is registered, hyphens as underscores; empty for one that isn't written out."""
    found = []
    for decorator in node.decorators:
        call = decorator.decorator
        if isinstance(call, cst.Call) and (get_full_name_for_node(call.func) or "").endswith(".register_subclass"):
            value = call.args[0].value if call.args else None
            text = value.evaluated_value if isinstance(value, cst.SimpleString) else ""
            found.append(text.replace("-", "_") if isinstance(text, str) else "")
    return found


def _names_of_lm_config(names: Bindings) -> list[str]:
    found = []
    for module in _MODULES:
        found += names.names_of(f"{module}.LmConfig")
        found += [f"{name}.LmConfig" for name in names.names_of(module)]
        found += ["LmConfig"] if module in names.stars else []
    return found


def _base_names(node: cst.ClassDef) -> list[str]:
    return [get_full_name_for_node(base.value) or "" for base in node.bases]
