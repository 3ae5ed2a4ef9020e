"""A file that defines a model: its config classes and its modules."""

import ast
import functools

from levgen.check.files.classes import ClassInfo
from levgen.check.files.names import called, last_name
from levgen.check.files.python_file import PythonFile

MODULE_BASES = frozenset(
    {"Module", "ModuleWithStateDictSerialization", "LmHeadModel", "LmWithHfSerializationMixin", "LayerNormBase"}
)
SERIALIZABLE_BASES = MODULE_BASES - {"Module"}
CONFIG_BASES = frozenset({"LmConfig", "HFCompatConfig"})


class ModelFile(PythonFile):
    """A Python file with a registered config or with equinox modules."""

    @functools.cached_property
    def configs(self) -> list[ClassInfo]:
        """Config classes of models: registered, or descending from LmConfig."""
        return [
            one
            for one in self.classes.values()
            if one.registered_as is not None
            or (one.dataclass_decorator is not None and one.descends_from(CONFIG_BASES))
        ]

    @functools.cached_property
    def modules(self) -> list[ClassInfo]:
        """Classes that are equinox modules."""
        configs = {one.name for one in self.configs}
        return [one for one in self.classes.values() if one.name not in configs and one.descends_from(MODULE_BASES)]

    def class_of(self, node: ast.AST) -> ClassInfo | None:
        """The top-level class around a node."""
        around = self.nodes.enclosing(node, ast.ClassDef)
        while around is not None:
            outer = self.nodes.enclosing(around, ast.ClassDef)
            if outer is None:
                assert isinstance(around, ast.ClassDef)
                return self.classes.get(around.name)
            around = outer
        return None


def defines_model(tree: ast.Module) -> bool:
    """Whether a file is a model file: cheap, by the names in its class statements."""
    return any(
        not MODULE_BASES.isdisjoint(map(last_name, node.bases))
        or any(called(decorator).endswith("LmConfig.register_subclass") for decorator in node.decorator_list)
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    )
