"""A layer's dataflow as nodes and edges, for JSON and for Mermaid (https://mermaid.js.org)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from levgen.scaffold.dataflow.steps import Branch, Dataflow, Step


@dataclass(frozen=True)
class Node:
    """`block`: attention or mlp for what lies inside one, else empty. `kind`: step, value (a tensor) or sum."""

    id: str
    name: str
    does: str = ""
    block: str = ""
    kind: str = "step"


@dataclass
class Graph:
    """Nodes, and edges from a node's id to another's."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        nodes = [
            {"id": node.id, "name": node.name, "does": node.does, "block": node.block, "kind": node.kind}
            for node in self.nodes
        ]
        return {"nodes": nodes, "edges": [list(edge) for edge in self.edges]}


def layer_graph(flow: Dataflow) -> Graph:
    """The graph of one layer, from its input to its output."""
    graph = Graph()
    stream = _add(graph, "x", flow.layers, kind="value")
    for residual in flow.residuals:
        shared = _chain(graph, stream, residual.shared, "")
        ends = [_branch(graph, shared, branch) for branch in residual.branches]
        total = _add(graph, "+", residual.total, kind="sum")
        graph.edges += [(end, total) for end in [stream, *ends]]
        stream = _chain(graph, total, residual.after, "")
    graph.edges.append((stream, _add(graph, "out", "to the next layer", kind="value")))
    return graph


def _branch(graph: Graph, source: str, branch: Branch) -> str:
    end = _chain(graph, source, branch.before, branch.name)
    if branch.join is not None:
        lanes = []
        for lane in branch.lanes:
            entry = end
            if not lane.steps:
                entry = _add(graph, lane.name, "columns of it", branch.name)
                graph.edges.append((end, entry))
            lanes.append(_chain(graph, entry, lane.steps, branch.name))
        end = _add(graph, branch.join.name, branch.join.does, branch.name)
        graph.edges += [(lane, end) for lane in lanes]
    return _chain(graph, end, branch.after, branch.name)


def _chain(graph: Graph, source: str, steps: Iterable[Step], block: str) -> str:
    """Appends `steps` one after another; the id of the last, or `source`."""
    for step in steps:
        node = _add(graph, step.name, step.does, block)
        graph.edges.append((source, node))
        source = node
    return source


def _add(graph: Graph, name: str, does: str = "", block: str = "", kind: str = "step") -> str:
    node = Node(f"n{len(graph.nodes)}", name, does, block, kind)
    graph.nodes.append(node)
    return node.id


# Mermaid --------------------------------------------------------------------------------------------------------------

_SHAPES = {"step": ('["', '"]'), "value": ('(["', '"])'), "sum": ('(("', '"))')}


def mermaid(graph: Graph) -> str:
    """The graph as a Mermaid flowchart, with a subgraph for each block."""
    return "\n".join(_mermaid_lines(graph)) + "\n"


def _mermaid_lines(graph: Graph) -> Iterator[str]:
    yield "flowchart TB"
    for block in dict.fromkeys(node.block for node in graph.nodes):
        inside = [_mermaid_node(node) for node in graph.nodes if node.block == block]
        if block:
            yield f'  subgraph {block}["{block}"]'
        yield from (f"  {'  ' if block else ''}{line}" for line in inside)
        if block:
            yield "  end"
    yield from (f"  {source} --> {target}" for source, target in graph.edges)


def _mermaid_node(node: Node) -> str:
    before, after = _SHAPES[node.kind]
    does = "" if node.kind == "sum" or not node.does else f"<br/>{_escaped(node.does)}"
    return f"{node.id}{before}{_escaped(node.name)}{does}{after}"


def _escaped(text: str) -> str:
    """`text` inside quotes: what Mermaid would take for markup is written as a character code."""
    return "".join(f"#{ord(char)};" if char in "#\"'<>&;`\\" else char for char in text)
