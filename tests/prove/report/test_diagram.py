"""Every card's layer can be drawn: in its frame, in reading order, with nothing left out."""

import pytest

from levgen.architecture.catalogue import get, known_types
from levgen.cli.layer_graph import layer_graph
from levgen.prove.report.diagram import WIDTH, layer_drawing
from levgen.scaffold.complete import complete
from levgen.scaffold.dataflow.layer import dataflow_of


def test_a_long_name_goes_on_after_an_underscore() -> None:
    mlp = layer_drawing(dataflow_of(complete(get("qwen2_moe"))))
    assert ("shared_", "expert") in [tuple(text for _, text in box.names) for box in mlp.boxes]


@pytest.mark.parametrize("model", known_types())
def test_a_card_is_drawn_whole(model: str) -> None:
    flow = dataflow_of(complete(get(model)))
    drawing = layer_drawing(flow)
    around = len(flow.before) + len(flow.after)
    graph = layer_graph(flow)
    # A lane without a step of its own is a box in the graph, and only a word here.
    lanes = sum(not lane.steps for residual in flow.residuals for b in residual.branches for lane in b.lanes)
    assert len(drawing.boxes) == around + sum(node.kind == "step" for node in graph.nodes) - lanes
    assert len(drawing.sums) == sum(node.kind == "sum" for node in graph.nodes)

    assert all(0 <= x <= WIDTH and 0 <= y <= drawing.height for line in drawing.lines for x, y in line.points)
    assert all(0 <= word.x <= WIDTH and 0 <= word.y <= drawing.height for word in drawing.words)
    for box in drawing.boxes:
        assert 0 <= box.x < box.x + box.width <= WIDTH
        assert box.names, "a box says what it is"
        assert all(box.y < y < box.y + box.height for y, _ in (*box.names, *box.does))
    for above, below in zip(drawing.boxes, drawing.boxes[1:], strict=False):
        beside = above.x + above.width <= below.x
        assert beside or below.y >= above.y + above.height, f"{below.names} covers {above.names}"
