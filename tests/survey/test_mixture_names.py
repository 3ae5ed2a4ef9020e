"""Names of experts in a checkpoint: which steps transformers renames."""

import pytest

from levgen.survey.evidence import UnresolvedError
from levgen.survey.mixture.names import _renamings


@pytest.mark.parametrize(
    ("pairs", "renamed"),
    [
        ([("mlp.gate.weight", "mlp.gate.weight")], {}),
        (
            [("moe.gate.weight", "mlp.gate.weight"), ("moe.experts.down_proj", "mlp.experts.down_proj")],
            {"moe": "mlp"},
        ),
        (
            [("mlp.gate.weight", "mlp.gate.weight"), ("after.weight", "mlp.after.weight")],
            {"after": "mlp.after"},
        ),
        (
            [
                ("moe.router.layer.weight", "moe.router.weight"),
                ("moe.gate_up_proj", "moe.experts.gate_up_proj"),
                ("moe.down_proj", "moe.experts.down_proj"),
            ],
            {
                "moe.router.layer": "moe.router",
                "moe.gate_up_proj": "moe.experts.gate_up_proj",
                "moe.down_proj": "moe.experts.down_proj",
            },
        ),
        (
            [
                ("moe", "mlp"),
                ("moe.gate.weight", "mlp.router.weight"),
                ("moe.experts.down_proj", "mlp.experts.down_proj"),
            ],
            {"moe.gate": "mlp.router", "moe": "mlp"},
        ),
    ],
)
def test_the_fewest_steps_that_are_renamed(pairs: list[tuple[str, str]], renamed: dict[str, str]) -> None:
    assert _renamings(pairs) == renamed


def test_names_that_no_renaming_gives_are_unknown() -> None:
    with pytest.raises(UnresolvedError, match="in memory"):
        _renamings([("a.b", "c.b"), ("a.b", "d.b")])
