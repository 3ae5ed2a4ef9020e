"""How a difference is told."""

import numpy as np

from levgen.prove.diagnose.describe import mask_difference, where
from levgen.prove.trace.event import Value

AXES = (("heads", 2), ("head_size", 4))


def values(change):
    theirs = np.ones((2, 6, 8))
    ours = theirs.copy()
    change(ours.reshape(2, 6, 2, 4))
    return Value(ours, AXES), Value(theirs)


def test_everywhere():
    def change(x):
        x += 0.5

    assert where(*values(change)) == "at every position (by 5.0e-01)"


def test_from_a_position_on_in_half_of_an_axis():
    def change(x):
        x[:, 1:, :, 2:] += 0.25

    assert where(*values(change)) == "from position 1 on, only in head_size 2-3 of 4 (by 2.5e-01)"


def test_some_positions_of_one_head():
    def change(x):
        x[1, 2:4, 1] -= 1

    assert where(*values(change)) == "at 2 of 6 positions, first 2, only in heads 1 of 2 (by 1.0e+00)"


def test_other_shapes():
    assert where(Value(np.ones((2, 6, 8))), Value(np.ones((2, 6, 4)))) == "in shape: (8,) instead of (4,)"


def test_masks():
    causal = np.tril(np.ones((1, 4, 4), bool))
    ahead = np.tril(np.ones((1, 4, 4), bool), 1)
    assert mask_difference(causal, causal) is None
    assert mask_difference(ahead, causal) == "the query at 0 sees keys that the reference hides (key 1)"
    assert mask_difference(causal, ahead) == "the query at 0 doesn't see keys that the reference sees (key 1)"
