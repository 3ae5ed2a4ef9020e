"""Which field, and which sizes, a factor is made of."""

import pytest

from levgen.survey.config.field_map import field_of, sizes_in


@pytest.mark.parametrize(
    ("factor", "field", "sizes"),
    [
        (0.7, None, set()),
        ("calm", "calm", set()),
        ("calm**-0.5", "calm", set()),
        ("head_dim**-0.5", None, {"head_dim"}),
        ("calm * num_layers**-0.5", "calm", {"num_layers"}),
        ("calm * hidden_dim**-1", "calm", {"hidden_dim"}),
    ],
)
def test_field_and_sizes_of_a_factor(factor: object, field: str | None, sizes: set[str]) -> None:
    assert (field_of(factor), sizes_in(factor)) == (field, sizes)
