"""A place in the source, and what an operator needs to know about it."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import libcst as cst


@dataclass(frozen=True)
class ClassFacts:
    """A class of the file. `fields`: name -> annotation. `defaults`: name -> the default's source."""

    name: str
    fields: Mapping[str, str]
    defaults: Mapping[str, str]
    axes: tuple[str, ...]


@dataclass(frozen=True)
class FileFacts:
    """A model's file: its classes, and which of them is the config."""

    module: cst.Module
    classes: Mapping[str, ClassFacts]
    config: ClassFacts

    def code(self, node: cst.CSTNode) -> str:
        """The source of a node."""
        return self.module.code_for_node(node)


@dataclass(frozen=True)
class Site:
    """Where a node stands.

    owner: the class around it. function: the function in that class, "" in the body of the class. parents: the nodes
    around it, outermost first, from the function on. parameters: of the function, name -> annotation. assigned: the
    names that the function assigns before the node. exhaustive: all alternatives are asked for, not just one of each.
    """

    facts: FileFacts
    owner: ClassFacts
    function: str
    parents: tuple[cst.CSTNode, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    assigned: tuple[str, ...] = ()
    exhaustive: bool = False

    def code(self, node: cst.CSTNode) -> str:
        """The source of a node."""
        return self.facts.code(node)

    @property
    def parent(self) -> cst.CSTNode | None:
        return self.parents[-1] if self.parents else None

    @functools.cached_property
    def keyword(self) -> str | None:
        """The keyword of the nearest argument that the node is, or is part of."""
        for node in reversed(self.parents):
            if isinstance(node, cst.Arg) and node.keyword is not None:
                return node.keyword.value
            if isinstance(node, cst.Arg | cst.BaseStatement):
                return None
        return None

    @functools.cached_property
    def calls(self) -> tuple[str, ...]:
        """What is called around the node, innermost first: `jrandom.split`."""
        return tuple(self.code(node.func) for node in reversed(self.parents) if isinstance(node, cst.Call))

    @functools.cached_property
    def config(self) -> str | None:
        """How the config is named here; None where it can't be reached."""
        if "config" in self.parameters:
            return "config"
        if self.owner is self.facts.config and "self" in self.parameters:
            return "self"
        return "self.config" if "config" in self.owner.fields and "self" in self.parameters else None

    @property
    def values(self) -> list[str]:
        """Names of hidden states here: what is assigned, and parameters that are named arrays; no positions."""
        named = [name for name, annotation in self.parameters.items() if annotation.startswith("NamedArray")]
        found = dict.fromkeys([*named, *self.assigned])
        return [name for name in found if name.islower() and not _is_other(name)]

    @property
    def positions(self) -> list[str]:
        """Names of positions here."""
        return [name for name in self.parameters if "pos" in name]

    @property
    def masks(self) -> list[str]:
        """Names of masks here."""
        return [name for name in (*self.parameters, *self.assigned) if "mask" in name]

    @property
    def rotations(self) -> list[str]:
        """Names here that rotate: a local that bears the name of a field of the config which is a Rotary."""
        return [name for name in self.facts.config.fields if self.is_rotation(name) and name in self.assigned]

    def is_rotation(self, name: str) -> bool:
        """Whether `name` ends in a field of the config that is a Rotary."""
        return self.facts.config.fields.get(name.rpartition(".")[2], "").startswith("Rotary")

    @property
    def is_forward(self) -> bool:
        """Whether the node is in what computes, not in what makes parameters or describes the config."""
        return self.function not in ("", "init") and self.owner is not self.facts.config

    @property
    def is_value(self) -> bool:
        """Whether the node is the whole value of a return or an assignment."""
        return isinstance(self.parent, cst.Return | cst.Assign)


def _is_other(name: str) -> bool:
    """Names that are no hidden states, by what they are called in generated models."""
    others = ("pos", "mask", "key", "std", "tied", "config", "rope", "window", "input_ids", "chosen")
    return any(part in name for part in others)


def read_facts(module: cst.Module) -> FileFacts:
    """The classes of a file. Raises ValueError where none is registered as a config."""
    classes = {node.name.value: _class_facts(module, node) for node in module.body if isinstance(node, cst.ClassDef)}
    for node in module.body:
        if isinstance(node, cst.ClassDef) and any(
            "register_subclass" in module.code_for_node(decorator) for decorator in node.decorators
        ):
            return FileFacts(module, classes, classes[node.name.value])
    raise ValueError("the file registers no config")


def _class_facts(module: cst.Module, node: cst.ClassDef) -> ClassFacts:
    fields: dict[str, str] = {}
    defaults: dict[str, str] = {}
    axes: list[str] = []
    for line in node.body.body:
        if not isinstance(line, cst.SimpleStatementLine):
            continue
        for statement in line.body:
            match statement:
                case cst.AnnAssign(target=cst.Name(value=name), annotation=annotation, value=value):
                    fields[name] = module.code_for_node(annotation.annotation)
                    if value is not None:
                        defaults[name] = module.code_for_node(value)
                case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))], value=value):
                    if module.code_for_node(value).startswith("property("):
                        axes.append(name)
    return ClassFacts(node.name.value, fields, defaults, tuple(axes))
