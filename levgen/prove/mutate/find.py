"""Finding every edit that the catalogue has for a source."""

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper, PositionProvider

from levgen.prove.mutate import operators
from levgen.prove.mutate.operator import CATALOGUE, Mutation, Operator
from levgen.prove.mutate.site import ClassFacts, FileFacts, Site, read_facts

# Arguments that only say how fresh weights are drawn or memory is spent: they touch no value that tests compare.
_OTHER_KEYWORDS = ("key", "gradient_checkpointing")
_OTHER_CALLS = ("jrandom.split", "shaped_rng_split", "eqx.field", "HfFields")
# Methods of a config that count operations, and those that name tensors of a checkpoint.
_OTHER_METHODS = ("attention_span", "active_share", "flops_per_token", "model_type")

# What an edit touches, by the keyword or the function that it is an argument of.
_KIND_BY_KEYWORD = {
    "eps": "eps",
    "scale": "scale",
    "softcap": "softcap",
    "offset": "norm offset",
    "layout": "rope layout",
    "use_bias": "bias",
    "out_first": "transposed weight",
    "std": "initialisation",
    "gain": "initialisation",
    "where": "mask",
}
_KIND_BY_CALL = {
    "activation": "activation",
    "Rotary": "theta",
    "AttentionMask": "mask",
    "with_sliding_window": "mask",
    "with_chunks": "mask",
}


def catalogue() -> dict[str, Operator]:
    """All operators by name."""
    for module in pkgutil.iter_modules(operators.__path__):
        importlib.import_module(f"{operators.__name__}.{module.name}")
    return CATALOGUE


def mutations(source: str, *, exhaustive: bool = False) -> list[Mutation]:
    """Every edit of `source`, in the order of the file; each text that results is made once.

    exhaustive: all alternatives at a place, to look for what mends it, not one of each sort.
    Raises ValueError for a source that registers no config, and libcst's error for one that is no Python.
    """
    wrapper = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
    finder = _Finder(wrapper, source, list(catalogue().values()), exhaustive=exhaustive)
    seen: set[tuple[int, int, str]] = set()
    found = []
    for mutation in finder.found():
        identity = (mutation.start, mutation.end, mutation.after)
        if identity not in seen and mutation.after != mutation.before:
            seen.add(identity)
            found.append(mutation)
    return found


class _Finder:
    def __init__(self, wrapper: MetadataWrapper, source: str, known: list[Operator], *, exhaustive: bool) -> None:
        self._facts = read_facts(wrapper.module)
        self._spans = wrapper.resolve(ByteSpanPositionProvider)
        self._places = wrapper.resolve(PositionProvider)
        self._bytes = source.encode()
        self._source = source
        self._known = known
        self._exhaustive = exhaustive

    def found(self) -> Iterator[Mutation]:
        for node in self._facts.module.body:
            if isinstance(node, cst.ClassDef):
                yield from self._in_class(self._facts.classes[node.name.value], node)

    def _in_class(self, owner: ClassFacts, node: cst.ClassDef) -> Iterator[Mutation]:
        site = Site(self._facts, owner, "", exhaustive=self._exhaustive)
        for line in node.body.body:
            if isinstance(line, cst.FunctionDef):
                if line.name.value not in _OTHER_METHODS:
                    yield from self._in_function(site, line)
            elif owner is self._facts.config and self._is_axis_in_use(self._facts.code(line)):
                inside = dataclasses.replace(site, parameters={"self": owner.name})
                yield from self._below(line, inside)

    def _is_axis_in_use(self, line: str) -> bool:
        """Whether a line of the config's body is an axis that the model reads."""
        name, _, value = (part.strip() for part in line.partition("="))
        return value.startswith("property(") and re.search(rf"config\.{name}\b", self._source) is not None

    def _in_function(self, site: Site, node: cst.FunctionDef) -> Iterator[Mutation]:
        parameters = {
            parameter.name.value: self._facts.code(parameter.annotation.annotation) if parameter.annotation else ""
            for parameter in (*node.params.params, *node.params.kwonly_params)
        }
        assigned: list[str] = []
        for index, line in enumerate(node.body.body):
            if index == 0 and _is_docstring(line):
                continue
            here = dataclasses.replace(
                site, function=node.name.value, parameters=parameters, assigned=tuple(assigned), parents=()
            )
            yield from self._below(line, here)
            assigned += _assigned(line)

    def _below(self, node: cst.CSTNode, site: Site) -> Iterator[Mutation]:
        if isinstance(node, cst.Annotation | cst.Comment) or _is_other(node, site, self._facts):
            return
        for operator in self._known:
            for text in operator.make(node, site):
                yield self._mutation(operator, node, site, text)
        if isinstance(node, cst.Dict) and isinstance(site.parent, cst.Return):
            return  # a table of names, which has an operator of its own
        inside = dataclasses.replace(site, parents=(*site.parents, node))
        for child in node.children:
            yield from self._below(child, inside)

    def _mutation(self, operator: Operator, node: cst.CSTNode, site: Site, text: str) -> Mutation:
        span = self._spans[node]
        start = len(self._bytes[: span.start].decode())
        end = start + len(self._bytes[span.start : span.start + span.length].decode())
        where = f"{site.owner.name}.{site.function}" if site.function else site.owner.name
        before = self._source[start:end]
        kind = _kind(operator, site, before, text)
        return Mutation(operator, kind, where, self._places[node].start.line, start, end, before, text)


def _kind(operator: Operator, site: Site, before: str, after: str) -> str:
    """What an edit touches: what the place says, and what the operator says where the place says nothing."""
    if before.startswith("AttentionMask") or after.startswith("AttentionMask"):
        return "mask"
    for keyword, kind in _KIND_BY_KEYWORD.items():
        # The edit adds, drops or changes the argument itself.
        if (f"{keyword}=" in before) != (f"{keyword}=" in after):
            return kind
    if site.keyword in _KIND_BY_KEYWORD:
        return _KIND_BY_KEYWORD[site.keyword]
    names = [call.rpartition(".")[2] for call in site.calls[:1]] + [call.partition(".")[0] for call in site.calls[:1]]
    for name in names:
        if name in _KIND_BY_CALL:
            return _KIND_BY_CALL[name]
    if before.startswith("Rotary(") or after.startswith("Rotary("):
        return "theta"
    if site.function == "init" and operator.kind in ("number", "operation"):
        return "initialisation"
    return operator.kind


def _is_docstring(line: cst.CSTNode) -> bool:
    match line:
        case cst.SimpleStatementLine(body=[cst.Expr(value=cst.SimpleString() | cst.ConcatenatedString())]):
            return True
    return False


def _is_other(node: cst.CSTNode, site: Site, facts: FileFacts) -> bool:
    match node:
        case cst.Arg(keyword=cst.Name(value=name)) if name in _OTHER_KEYWORDS:
            return True
        case cst.Call(func=function) if facts.code(function) in _OTHER_CALLS:
            return True
    return False


def _assigned(line: cst.CSTNode) -> list[str]:
    """The names that a statement assigns."""
    names: list[str] = []
    if isinstance(line, cst.SimpleStatementLine):
        for statement in line.body:
            if isinstance(statement, cst.Assign):
                for target in statement.targets:
                    elements = target.target.elements if isinstance(target.target, cst.Tuple) else [target.target]
                    for element in elements:
                        value = element.value if isinstance(element, cst.Element) else element
                        if isinstance(value, cst.Name):
                            names.append(value.value)
    return names
