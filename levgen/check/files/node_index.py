"""One walk over a syntax tree, after which every rule finds its nodes by type without walking again."""

import ast
from bisect import bisect_left
from typing import TypeVar, cast

Node = TypeVar("Node", bound=ast.AST)

# Fields that hold no node, or one that no rule asks for: left out, they save a third of the walk.
_PLAIN = frozenset(
    {"ctx", "op", "ops", "id", "attr", "arg", "name", "asname", "module", "level", "kind", "type_comment"}
)


def _fields_with_nodes(kind: type[ast.AST]) -> tuple[str, ...]:
    """The fields of a type of node that may hold other nodes, in their order."""
    if kind is ast.Constant:
        return ()
    plain = _PLAIN - {"name"} if kind.__name__ == "TypeAlias" else _PLAIN
    return tuple(name for name in kind._fields if name not in plain)


class NodeIndex:
    """Nodes by type in the order of the source, with each node's parent and the extent of its subtree."""

    def __init__(self, tree: ast.Module) -> None:
        nodes: dict[type[ast.AST], list[ast.AST]] = {}
        positions: dict[type[ast.AST], list[int]] = {}
        fields: dict[type[ast.AST], tuple[str, ...]] = {}
        parents: dict[ast.AST, ast.AST] = {}
        extents: dict[ast.AST, tuple[int, int]] = {}
        count = 0

        # This runs once a node: it is most of what a check costs beyond parsing.
        def visit(node: ast.AST) -> None:
            nonlocal count
            kind = node.__class__
            start = count
            count += 1
            try:
                nodes[kind].append(node)
                positions[kind].append(start)
            except KeyError:
                nodes[kind], positions[kind], fields[kind] = [node], [start], _fields_with_nodes(kind)
            for name in fields[kind]:
                value = getattr(node, name, None)
                if value.__class__ is list:
                    for item in value:
                        if isinstance(item, ast.AST):
                            parents[item] = node
                            visit(item)
                elif isinstance(value, ast.AST):
                    parents[value] = node
                    visit(value)
            extents[node] = (start, count)

        visit(tree)
        self._nodes = nodes
        self._positions = positions
        self._extents = extents
        self.parents = parents

    def of(self, kind: type[Node]) -> list[Node]:
        """All nodes of exactly this type."""
        return cast(list[Node], self._nodes.get(kind, []))

    def within(self, root: ast.AST, kind: type[Node]) -> list[Node]:
        """The nodes of this type in the subtree of `root`, itself included."""
        positions = self._positions.get(kind)
        if positions is None:
            return []
        start, end = self._extents[root]
        first = bisect_left(positions, start)
        return cast(list[Node], self._nodes[kind][first : bisect_left(positions, end, first)])

    def contains(self, root: ast.AST, node: ast.AST) -> bool:
        """Whether `node` is in the subtree of `root`."""
        start, end = self._extents[root]
        return start <= self._extents[node][0] < end

    def parent(self, node: ast.AST) -> ast.AST | None:
        """The node around `node`."""
        return self.parents.get(node)

    def enclosing(self, node: ast.AST, *kinds: type[ast.AST]) -> ast.AST | None:
        """The nearest node around `node` of one of these types."""
        around = self.parents.get(node)
        while around is not None and not isinstance(around, kinds):
            around = self.parents.get(around)
        return around
