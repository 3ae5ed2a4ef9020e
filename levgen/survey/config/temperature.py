"""Do two fields say how queries grow with the logarithm of their position?"""

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from levgen.reference.sizing.values import is_int
from levgen.survey.config.measures import alike
from levgen.survey.config.trials import Trial, Trials
from levgen.survey.evidence import Evidence
from levgen.survey.observe.shapes import LENGTH

if TYPE_CHECKING:
    from levgen.survey.config.field_map import FieldMap

# A score of about 1 in fp32 islands is exact to about 1e-6.
_SAME = 1e-5


def map_temperature(trials: Trials, found: "FieldMap") -> None:
    """Notes the fields of `temperature_span` and `temperature_scale`, where two say what was measured in every config.

    Each must have been altered alone, and have altered how queries grow.
    """
    base = trials.base.measures
    if base is None or base.query_scaling is None:
        return
    grown = [trial for trial in trials.examined if trial.measures is not None and trial.measures.has_temperature]
    spans = _deciding(trials, lambda value: is_int(value) and value > 0)
    scales = _deciding(trials, lambda value: isinstance(value, float))
    for span, scale in itertools.product(spans, scales):
        errors = [_error(trial, span, scale) for trial in grown]
        if all(error <= _SAME for error in errors):
            found.sizes["temperature_span"], found.factors["temperature_scale"] = span, scale
            said = f"1 + {scale} * log(1 + (position + 1) // {span})"
            probe = f"{len(grown)} configs; a step earlier {_error(trials.base, span, scale, early=1):.1e}"
            found.evidence.append(Evidence("temperature of queries", said, max(errors), probe=probe))
            return


def _deciding(trials: Trials, known: Callable[[Any], bool]) -> list[str]:
    """The fields with a `known` value that, altered alone, alter how queries grow."""
    base = trials.base.measures
    assert base is not None
    held = {hf: [t.measures.query_scaling for t in trials.of(hf) if t.measures is not None] for hf in trials.fields}
    return [
        hf
        for hf, value in trials.base.values.items()
        if known(value) and any(not alike(scaling, base.query_scaling, _SAME) for scaling in held[hf])
    ]


def _error(trial: Trial, span: str, scale: str, *, early: int = 0) -> float:
    """How far what two fields say is from what was measured, relatively. `early`: by so many positions too early."""
    every, factor = trial.values.get(span), trial.values.get(scale)
    if trial.measures is None:
        return math.inf
    measured, chunk = trial.measures.query_scaling, trial.measures.chunk
    if not isinstance(every, int) or every < 1 or not isinstance(factor, float) or measured is None:
        return math.inf
    said = [1 + factor * math.log1p((position + 1 + early) // every) for position in range(LENGTH)]
    # Measured in parts of that of position 1, the first that sees two keys. Where one key is seen nothing tells.
    told = [at for at in range(1, LENGTH) if chunk is None or at % chunk]
    return max((abs(said[at] / said[1] - measured[at]) / abs(measured[at]) for at in told), default=math.inf)
