"""Following PRNG keys through a function: which are used twice, which never.

A key is used when it is handed to a call. Branches that exclude each other count once; a loop counts as many.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from levgen.check.files.names import called, last_name, names_in_target
from levgen.check.files.python_file import PythonFile

SPLITTERS = frozenset({"split", "maybe_rng_split", "shaped_rng_split"})
_MAKERS = SPLITTERS | {"PRNGKey", "fold_in"}
# Calls that look at a key, or derive from it by a number, without consuming it.
_HARMLESS = frozenset({"fold_in", "isinstance", "len", "print", "repr", "type", "id", "key_data", "clone", "append"})

_LOOPS: tuple[type[ast.AST], ...] = (
    *(ast.For, ast.AsyncFor, ast.While),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_key_maker(call: ast.AST) -> bool:
    """`jax.random.split(...)`, `PRNGKey(0)`, `jax.random.key(0)` and the like."""
    name = called(call)
    last = name.rpartition(".")[2]
    return (last in _MAKERS and "str" not in name) or name.endswith(("random.key", "jrandom.key"))


def is_splitter(call: ast.AST) -> bool:
    name = called(call)
    return name.rpartition(".")[2] in SPLITTERS and isinstance(call, ast.Call) and _splits_a_key(call)


def _splits_a_key(call: ast.Call) -> bool:
    """`text.split(",")` is no key's."""
    if called(call).rpartition(".")[2] != "split":
        return True
    return bool(call.args) and not isinstance(call.args[0], ast.Constant) and "random" in called(call)


def key_parameters(function: Function) -> set[str]:
    """Parameters that hold a key: named `key`, or annotated as one."""
    arguments = function.args
    return {
        one.arg
        for one in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        if one.arg in {"key", "rng", "prng_key"} or "PRNGKey" in last_name(one.annotation)
    }


@dataclass
class _State:
    """How often each key was used on this path, and whether the path goes on."""

    uses: dict[str, int] = field(default_factory=dict)
    ended: bool = False

    def copy(self) -> "_State":
        return _State(dict(self.uses), self.ended)


def _merge(states: list[_State]) -> _State:
    going_on = [one for one in states if not one.ended]
    if not going_on:
        return _State(ended=True)
    merged = _State()
    for one in going_on:
        for name, count in one.uses.items():
            merged.uses[name] = max(merged.uses.get(name, 0), count)
    return merged


@dataclass(frozen=True)
class Reuse:
    """A key that is used again at `node`."""

    name: str
    node: ast.expr
    in_loop: bool


class KeyTracker:
    """Walks one function in the order of execution."""

    def __init__(self, file: PythonFile, function: Function) -> None:
        self.found: list[Reuse] = []
        self._loops: list[set[str]] = []
        self._nodes = file.nodes
        self._block(function.body, _State(dict.fromkeys(key_parameters(function), 0)))

    def _names_a_key(self, node: ast.AST, state: _State) -> bool:
        """Whether a subtree names any key at all: most do not, and need not be walked."""
        return any(name.id in state.uses for name in self._nodes.within(node, ast.Name))

    def _block(self, body: list[ast.stmt], state: _State) -> _State:
        for statement in body:
            if state.ended:
                break
            state = self._statement(statement, state)
        return state

    def _statement(self, node: ast.stmt, state: _State) -> _State:
        if isinstance(node, ast.If):
            self._expression(node.test, state)
            return _merge([self._block(node.body, state.copy()), self._block(node.orelse, state.copy())])
        if isinstance(node, ast.For | ast.AsyncFor | ast.While):
            return self._loop(node, state)
        if isinstance(node, ast.Try):
            after = self._block(node.body, state.copy())
            others = [self._block(one.body, state.copy()) for one in node.handlers]
            return self._block(node.finalbody, _merge([self._block(node.orelse, after), *others]))
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                self._expression(item.context_expr, state)
            return self._block(node.body, state)
        if isinstance(node, ast.Match):
            self._expression(node.subject, state)
            return _merge([*(self._block(case.body, state.copy()) for case in node.cases), state])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return state
        if self._names_a_key(node, state):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self._expression(child, state)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            self._bind(node, state)
        state.ended = isinstance(node, ast.Return | ast.Raise | ast.Continue | ast.Break)
        return state

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While, state: _State) -> _State:
        if not isinstance(node, ast.While):
            self._expression(node.iter, state)
            for name in names_in_target(node.target):
                state.uses.pop(name, None)
        bound = {
            name
            for one in ast.walk(node)
            if isinstance(one, ast.Assign)
            for target in one.targets
            for name in names_in_target(target)
        }
        self._loops.append(set(state.uses) - bound)
        inside = self._block(node.body, state.copy())
        self._loops.pop()
        inside.ended = False
        return self._block(node.orelse, _merge([state, inside]))

    def _bind(self, node: ast.Assign | ast.AnnAssign, state: _State) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            for name in names_in_target(target):
                for known in [one for one in state.uses if one == name or one.startswith(f"{name}[")]:
                    del state.uses[known]
                if node.value is not None and is_key_maker(node.value):
                    state.uses[name] = 0

    def _expression(self, node: ast.expr, state: _State) -> None:
        if isinstance(node, ast.Lambda | ast.Name | ast.Constant) or not self._names_a_key(node, state):
            return
        if isinstance(node, ast.IfExp):
            self._expression(node.test, state)
            branches = [state.copy(), state.copy()]
            self._expression(node.body, branches[0])
            self._expression(node.orelse, branches[1])
            state.uses = _merge(branches).uses
            return
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            self._comprehension(node, state)
            return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.keyword):
                self._expression(child.value, state)
            elif isinstance(child, ast.expr):
                self._expression(child, state)
        if isinstance(node, ast.Call) and called(node).rpartition(".")[2] not in _HARMLESS:
            for argument in [*node.args, *(one.value for one in node.keywords)]:
                self._use(argument, state)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, state: _State) -> None:
        bound: set[str] = set()
        for generator in node.generators:
            self._expression(generator.iter, state)
            bound |= set(names_in_target(generator.target))
        self._loops.append(set(state.uses) - bound)
        for part in [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]:
            self._expression(part, state)
        self._loops.pop()

    def _use(self, node: ast.expr, state: _State) -> None:
        name = _key_name(node)
        base = name.partition("[")[0]
        if base not in state.uses:
            return
        once = state.uses.get(name, 0) + 1
        state.uses[name] = once
        in_loop = any(base in names for names in self._loops)
        if once == 2 or (in_loop and once == 1):
            self.found.append(Reuse(name, node, in_loop and once == 1))
            state.uses[name] = 2


def _key_name(node: ast.expr) -> str:
    """`k`, or `keys[2]` for a constant index; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant):
        return f"{node.value.id}[{node.slice.value!r}]"
    return ""


def split_assignments(file: PythonFile) -> Iterator[tuple[Function, ast.Assign, ast.Call, list[ast.expr]]]:
    """Each `a, b = split(key, 2)` with the function around it: the statement, the call, the targets."""
    for node in file.nodes.of(ast.Assign):
        if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Call) and is_splitter(node.value):
            around = file.nodes.enclosing(node, ast.FunctionDef, ast.AsyncFunctionDef)
            if isinstance(around, Function):
                yield around, node, node.value, node.targets[0].elts


def functions_with_keys(file: PythonFile) -> list[Function]:
    """The functions that take or make a key and may use one twice."""
    makers = {
        file.nodes.enclosing(call, ast.FunctionDef, ast.AsyncFunctionDef)
        for calls in file.calls.values()
        if is_key_maker(calls[0])
        for call in calls
    }
    with_keys = (function for function in file.functions if function in makers or key_parameters(function))
    return [function for function in with_keys if _may_reuse(file, function)]


def _may_reuse(file: PythonFile, function: Function) -> bool:
    """Whether any key is read twice, or anything happens in a loop: else the walk is saved."""
    if any(file.nodes.within(function, kind) for kind in _LOOPS):
        return True
    keys = key_parameters(function)
    for node in file.nodes.within(function, ast.Assign):
        if is_key_maker(node.value):
            keys.update(name for target in node.targets for name in names_in_target(target))
    read: set[str] = set()
    for one in file.nodes.within(function, ast.Name):
        if one.id in keys and isinstance(one.ctx, ast.Load):
            if one.id in read:
                return True
            read.add(one.id)
    return False
