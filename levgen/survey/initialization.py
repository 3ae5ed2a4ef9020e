"""How fresh weights are drawn: the deviation of each projection in a fresh model, and the field that it follows."""

from dataclasses import dataclass
from typing import Any

from levgen.reference.tiny import Tiny
from levgen.survey.evidence import Evidence, Unknown
from levgen.survey.fields import FieldMap
from levgen.survey.measures import Measures
from levgen.survey.trials import Trials

# A deviation estimated from n values is off by 1 / sqrt(2 n): below 1% for the smallest projection here.
_TOLERANCE = 0.06


@dataclass(frozen=True)
class Initialization:
    """`std`: the deviation of weights. `scaled`: projections into the residual stream have it / sqrt(2 * layers)."""

    std: float
    scaled: bool


def find_initialization(trials: Trials, found: FieldMap) -> Initialization | None:
    """The initialisation, with its field noted in `found`; what doesn't fit is noted as unknown."""
    measures = trials.base.measures
    assert measures is not None
    roles = _weights(measures)
    fresh = _deviations(trials.tiny, {}, roles)
    for hf, value in trials.base.values.items():
        if isinstance(value, bool) or not isinstance(value, float) or hf in found.mapped() or value <= 0:
            continue
        altered = _deviations(trials.tiny, {hf: 3 * value}, roles)
        if not altered or not any(abs(altered[r] / fresh[r] - 3) < 3 * _TOLERANCE for r in fresh if fresh[r]):
            continue
        answers = [_answer(f, v, measures.num_layers) for f, v in ((fresh, value), (altered, 3 * value))]
        if answers[0] is None or answers[0] != answers[1]:
            shown = {role: round(std / value, 3) for role, std in fresh.items()}
            found.unknown.append(Unknown("initialisation", f"deviations over {hf}: {shown}"))
        else:
            drawn = {role: f"{std:.4f}" for role, std in fresh.items()}
            found.evidence.append(Evidence("initialisation", f"{hf}, scaled {answers[0]}", probe=f"fresh: {drawn}"))
        found.initializer = hf
        found.ignored.pop(hf, None)
        found.fixed.pop(hf, None)
        return Initialization(value, bool(answers[0]))
    return None


def _weights(measures: Measures) -> dict[str, str]:
    """Role -> weight of the first layer that has it, and of the embeddings."""
    names = measures.names
    layers = names["transformer"]["layers"]
    roles: dict[str, str] = {}
    for part in ("attention", "mlp"):
        prefix = names["decoder_layer"][part]
        for role, name in names[part].items():
            if "norm" not in role:
                roles[role] = ".".join(str(step) for step in (layers, "0", prefix, name, "weight") if step)
    for role in ("token", "position"):
        if role in names["embeddings"]:
            roles[role] = f"{names['embeddings'][role]}.weight"
    return roles


def _deviations(tiny: Tiny, changes: dict[str, Any], roles: dict[str, str]) -> dict[str, float]:
    """Role -> standard deviation in a fresh model; empty where none can be built."""
    try:
        parameters = dict(tiny.build(random=False, **changes).named_parameters())
    except Exception:
        return {}
    return {role: float(parameters[name].std()) for role, name in roles.items() if name in parameters}


def _answer(deviations: dict[str, float], std: float, layers: int) -> bool | None:
    """Whether residual projections are scaled; None where the deviations are neither way."""
    scaled = std / (2 * layers) ** 0.5
    for answer in (False, True):
        expected = {role: scaled if answer and role in ("o", "down") else std for role in deviations}
        if all(abs(deviations[role] / expected[role] - 1) < _TOLERANCE for role in deviations):
            return answer
    return None
