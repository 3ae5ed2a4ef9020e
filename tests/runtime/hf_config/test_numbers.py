"""Numbers of a config.json that JSON has none for."""

import math

from levgen.runtime.hf_config.values import numbers_read


def test_infinity_is_read_as_transformers_writes_it() -> None:
    written = {"limit": [0.0, {"__float__": "Infinity"}], "inner": {"least": {"__float__": "-Infinity"}}, "name": "a"}
    assert numbers_read(written) == {"limit": [0.0, math.inf], "inner": {"least": -math.inf}, "name": "a"}
