"""Which fields of a config are read, following properties and methods of the config only where they are used."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from levgen.check.files.classes import FRAMEWORK_BASES, ClassInfo, Field
from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import last_name
from levgen.check.files.python_file import PythonFile

# Members that move fields to and from Hugging Face or validate them: a field that only these read does nothing.
_NOT_READING = frozenset({"from_hf_config", "to_hf_config", "hf_fields", "__post_init__"})
# Members that the runtime and the trainers call themselves.
_CALLED_OUTSIDE = frozenset(
    {"build", "model_type", "Embed", "Pos", "max_Pos", "KeyPos", "hf_checkpoint_converter"}
    | {"flops_per_token", "total_trainable_params"}
)
# Fields that the base class of configs reads.
READ_BY_BASE = frozenset({"max_seq_len"})
_CONFIG_NAMES = frozenset({"config", "cfg"})


def attributes_read(file: PythonFile, root: ast.AST) -> set[str]:
    """Names read as `.name` or by `getattr(x, "name")` in a subtree."""
    names = {one.attr for one in file.nodes.within(root, ast.Attribute) if isinstance(one.ctx, ast.Load)}
    for call in (*file.calls.get("getattr", ()), *file.calls.get("hasattr", ())):
        if len(call.args) > 1 and isinstance(call.args[1], ast.Constant) and file.nodes.contains(root, call):
            names.add(str(call.args[1].value))
    return names


@dataclass(frozen=True)
class _Reads:
    """What one top-level statement reads. `of_config` are reads of `config.x` where `types` annotate the configs."""

    defines: str
    types: frozenset[str]
    of_config: frozenset[str]
    of_anything: frozenset[str]
    hands_config_to: frozenset[str]


def _configs(file: PythonFile) -> list[ClassInfo]:
    return file.configs if isinstance(file, ModelFile) else []


def _is_config(node: ast.AST | None) -> bool:
    """`config`, `cfg`, `self.config`."""
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name.lstrip("_") in _CONFIG_NAMES


def _config_types(file: PythonFile, root: ast.AST) -> frozenset[str]:
    """Names of the classes that annotate configs in a statement."""
    annotations = [one.annotation for one in file.nodes.within(root, ast.arg) if one.arg in _CONFIG_NAMES]
    annotations += [one.annotation for one in file.nodes.within(root, ast.AnnAssign) if _is_config(one.target)]
    return frozenset(last_name(one) for one in annotations if one is not None) - {""}


def _handed_to(file: PythonFile, root: ast.AST, *, by: str = "") -> frozenset[str]:
    """Names in what is called with a config: `Stacked` and `Layer` of `Stacked.init(L, Layer)(config)`."""
    names: set[str] = set()
    for name in file.nodes.within(root, ast.Name):
        if name.id not in _CONFIG_NAMES and name.id != "self":
            continue
        argument: ast.AST = name
        around = file.nodes.parent(argument)
        while isinstance(around, ast.Attribute):
            argument, around = around, file.nodes.parent(around)
        if isinstance(around, ast.keyword):
            around = file.nodes.parent(around)
        if (
            isinstance(around, ast.Call)
            and argument is not around.func
            and (_is_config(argument) or (argument is name and name.id == by))
        ):
            names |= {one.id for one in file.nodes.within(around.func, ast.Name)}
    return frozenset(names)


_reads_by_file: WeakKeyDictionary[PythonFile, list[_Reads]] = WeakKeyDictionary()


def _reads_outside_configs(file: PythonFile) -> list[_Reads]:
    """The reads of each top-level statement that is no config class."""
    if file not in _reads_by_file:
        configs = [one.node for one in _configs(file)]
        found = []
        for statement in file.tree.body:
            if statement in configs or isinstance(statement, ast.Import | ast.ImportFrom):
                continue
            types = _config_types(file, statement)
            names = attributes_read(file, statement)
            scoped: frozenset[str] = frozenset()
            if types:
                attributes = file.nodes.within(statement, ast.Attribute)
                elsewhere = {one.attr for one in attributes if not _is_config(one.value)}
                elsewhere |= names - {one.attr for one in attributes}
                scoped = frozenset(names - elsewhere)
            handed = _handed_to(file, statement)
            defines = getattr(statement, "name", "")
            found.append(_Reads(defines, types, scoped, frozenset(names) - scoped, handed))
        _reads_by_file[file] = found
    return _reads_by_file[file]


def _related(file: PythonFile, config: ClassInfo, type_name: str) -> bool:
    """Whether an object annotated as `type_name` may be a `config`: one of the two descends from the other."""
    if type_name in FRAMEWORK_BASES or any(type_name == one.name for one in config.near):
        return True
    annotated = file.project.find_class(file, type_name)
    return annotated is None or any(one.name == config.name for one in annotated.near)


def _types_that_hold(config: ClassInfo, reach: list[PythonFile]) -> set[str]:
    """Names of the config types that this config may stand for: related classes, and those annotated in what it is
    handed to, since a module of another model may be reused with a config that only looks like its own."""
    everything = [(file, reads) for file in reach for reads in _reads_outside_configs(file)]
    names = {name for file, reads in everything for name in reads.types if _related(file, config, name)}
    while True:
        handed_to = {name for _, reads in everything if reads.types & names for name in reads.hands_config_to}
        more = {name for _, reads in everything if reads.defines in handed_to for name in reads.types}
        if more <= names:
            return names
        names |= more


_members_by_config: WeakKeyDictionary[ClassInfo, dict[str, set[str]]] = WeakKeyDictionary()


def _members(config: ClassInfo) -> dict[str, set[str]]:
    """What each method and property of a config reads, but for those that only convert or validate."""
    if config not in _members_by_config:
        members: dict[str, ast.AST] = {**config.methods, **config.assigned}
        _members_by_config[config] = {
            name: attributes_read(config.file, node) for name, node in members.items() if name not in _NOT_READING
        }
    return _members_by_config[config]


_given_by_file: WeakKeyDictionary[PythonFile, set[str]] = WeakKeyDictionary()


def _names_given_the_config(file: PythonFile) -> set[str]:
    """Names of what a file hands its config to, and of the bases of its modules."""
    if file not in _given_by_file:
        _given_by_file[file] = _given(file)
    return _given_by_file[file]


def _given(file: PythonFile) -> set[str]:
    names = {name for reads in _reads_outside_configs(file) for name in reads.hands_config_to}
    for config in _configs(file):
        names |= _handed_to(file, config.node, by="self") | set(config.base_names)
    if isinstance(file, ModelFile):
        names |= {name for module in file.modules for name in module.base_names}
    return names


def _reach(file: ModelFile) -> list[PythonFile]:
    """The files of the folder in which reads of this file's configs are looked for."""
    files: list[PythonFile] = [file]
    queue = file.project.importers(file)
    queue += _near_files(file)
    while queue:
        one = queue.pop()
        if one not in files:
            files.append(one)
            queue += _near_files(one)
    return files


def _near_files(file: PythonFile) -> list[PythonFile]:
    places = {file.project.find_module(file, name) for name in _names_given_the_config(file)}
    loaded = [file.project.load(place) for place in sorted(place for place in places if place)]
    return [one for one in loaded if one is not None]


def _refused_unless_fixed(config: ClassInfo) -> set[str]:
    """Fields of which `__post_init__` refuses every value but the one that the model has: `if self.x != 1: raise`."""
    method = config.methods.get("__post_init__")
    found: set[str] = set()
    if method is not None:
        for node in config.file.nodes.within(method, ast.If):
            fields = attributes_read(config.file, node.test)
            if len(fields) == 1 and isinstance(node.body[-1], ast.Raise):
                found |= fields
    return found


def _names_live(config: ClassInfo, reach: list[PythonFile]) -> set[str]:
    members: dict[str, set[str]] = defaultdict(set)
    live = set(_CALLED_OUTSIDE | READ_BY_BASE)
    types = _types_that_hold(config, reach)
    for one in reach:
        for reads in _reads_outside_configs(one):
            live |= reads.of_anything
            if reads.types & types:
                live |= reads.of_config
        for other in _configs(one):
            if _related(one, config, other.name):
                live |= _refused_unless_fixed(other)
                for name, names in _members(other).items():
                    members[name] |= names - {name}
    queue = [name for name in members if name in live]
    while queue:
        for name in members.pop(queue.pop(), set()):
            live.add(name)
            if name in members:
                queue.append(name)
    return live


def _read_far_away(names: set[str], reach: list[PythonFile]) -> set[str]:
    """Those of the names that stand as attributes in files of other folders that are handed a config."""
    pattern = re.compile(r"(?:\.|[\"'])(" + "|".join(map(re.escape, sorted(names))) + r")\b")
    given = [(file, name) for file in reach for name in _names_given_the_config(file)]
    places = {file.project.find_module(file, name, far=True) for file, name in given}
    far = [place for place in places if place is not None and place not in {file.place for file in reach}]
    return {name for place in far for name in pattern.findall(reach[0].project.text(place))}


def unread_fields(file: ModelFile) -> Iterator[tuple[ClassInfo, Field]]:
    """The fields of the file's configs that nothing reads: not the file, nor its bases, nor the files that are handed
    a config or that import the file."""
    reach = _reach(file) if file.configs else []
    unread = []
    for config in file.configs:
        live = _names_live(config, reach)
        unread += [(config, field) for field in config.fields.values() if field.name not in live]
    if unread:
        far = _read_far_away({field.name for _, field in unread}, reach)
        yield from ((config, field) for config, field in unread if field.name not in far)
