"""Our calls beside the reference's, where its modules do more than ours."""

import numpy as np

from levgen.prove.trace.align import Guide, pairs
from levgen.prove.trace.event import Event, Trace, Value


def _event(path: str, parent: int | None, times: tuple[int, int], x: float, y: float) -> Event:
    values = ((Value(np.full((1, 2, 3), number)),) for number in (x, y))
    return Event(path, "Layer", path, "Module", parent, *values, started=times[0], ended=times[1])


def test_a_norm_that_is_in_the_references_module_and_beside_ours() -> None:
    theirs = Trace(
        [
            _event("layer", None, (0, 7), 1.0, 9.0),
            _event("layer.mlp", 0, (1, 6), 1.0, 4.0),
            _event("layer.mlp.down", 1, (2, 3), 1.0, 2.0),
            _event("layer.mlp.norm", 1, (4, 5), 2.0, 4.0),
        ]
    )
    ours = Trace(
        [
            _event("layer", None, (0, 7), 1.0, 9.0),
            _event("layer.mlp", 0, (1, 4), 1.0, 2.0),
            _event("layer.mlp.down", 1, (2, 3), 1.0, 2.0),
            _event("layer.mlp.norm", 0, (5, 6), 2.0, 4.0),
        ]
    )
    found = {pair.ours.path: (pair.inputs, pair.outputs) for pair in pairs(ours, Guide(theirs, {}, None))}
    assert found == dict.fromkeys(["layer", "layer.mlp", "layer.mlp.down", "layer.mlp.norm"], (0.0, 0.0))


def test_what_is_inside_of_ours_is_no_reason_to_stop() -> None:
    theirs = Trace([_event("mlp", None, (0, 3), 1.0, 4.0), _event("mlp.down", 0, (1, 2), 1.0, 2.0)])
    ours = Trace([_event("mlp", None, (0, 3), 1.0, 2.0), _event("mlp.down", 0, (1, 2), 1.0, 2.0)])
    outer, inner = pairs(ours, Guide(theirs, {}, None))
    assert outer.outputs == 0.5
    assert inner.outputs == 0.0
