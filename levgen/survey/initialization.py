"""How fresh weights are drawn: the deviation of each projection in a fresh model, and the field that it follows."""

from dataclasses import dataclass
from typing import Any

from levgen.reference.tiny import Tiny
from levgen.survey.evidence import Evidence, Unknown
from levgen.survey.fields import FieldMap
from levgen.survey.measures import Measures
from levgen.survey.mixture_card import first_mixture
from levgen.survey.mixture_names import fresh_weights
from levgen.survey.trials import Trials

# A deviation estimated from n values is off by 1 / sqrt(2 n): below 1% for the smallest projection here.
_TOLERANCE = 0.06
_EMBEDDINGS = ("token", "position", "head")
# Which projections have std / sqrt(2 * layers).
_SCALED = {"same": (), "scaled": ("o", "down", "experts_down"), "scaled_attention": ("o",)}
_FIELD = "initializer_range"  # our name of what a deviation follows


@dataclass(frozen=True)
class Initialization:
    """As a card writes it: a deviation is a number, or `initializer_range`. `gain`: of norms."""

    std: float | str = _FIELD
    embedding_std: float | str | None = None
    residual: str = "same"
    gain: float = 1.0


def find_initialization(trials: Trials, found: FieldMap) -> Initialization:
    """The initialisation, with its field noted in `found`; what doesn't fit is noted as unknown."""
    measures = trials.base.measures
    assert measures is not None
    roles = _weights(measures) | _of_experts(trials)
    fresh = _deviations(trials.tiny, {}, roles)
    gain = _gain(trials.tiny, measures, found)
    for hf, value in trials.base.values.items():
        if isinstance(value, bool) or not isinstance(value, float) or hf in found.mapped() or value <= 0:
            continue
        altered = _deviations(trials.tiny, {hf: 3 * value}, roles)
        if not altered or not any(near(altered[role], 3 * fresh[role]) for role in fresh if fresh[role]):
            continue
        found.initializer = hf
        found.ignored.pop(hf, None)
        found.fixed.pop(hf, None)
        for residual, scaled in _SCALED.items():
            factor = {role: (2 * measures.num_layers) ** -0.5 if role in scaled else 1.0 for role in fresh}
            before, after = ({role: d[role] / factor[role] for role in d} for d in (fresh, altered))
            inner, outer = (
                _answer(before, after, [role for role in before if (role in _EMBEDDINGS) == outside], value)
                for outside in (False, True)
            )
            if inner is not None and outer is not None:
                answer = Initialization(inner, None if outer == inner else outer, residual, gain)
                shown = {role: f"{std:.4f}" for role, std in fresh.items()}
                found.evidence.append(Evidence("initialisation", f"{hf}: {answer}", probe=f"fresh: {shown}"))
                return answer
        ratios = {role: round(std / value, 3) for role, std in fresh.items()}
        found.unknown.append(Unknown("initialisation", f"deviations over {hf}: {ratios}"))
        return Initialization(gain=gain)
    return Initialization(gain=gain)


def _answer(before: dict[str, float], after: dict[str, float], roles: list[str], value: float) -> float | str | None:
    """The deviation of `roles`: that of the field, or one number whatever the field is; None for neither."""
    if all(near(before[role], value) and near(after[role], 3 * value) for role in roles):
        return _FIELD
    mean = sum(before[role] for role in roles) / len(roles)
    if all(near(before[role], mean) and near(after[role], mean) for role in roles):
        return float(f"{mean:.2g}")
    return None


def near(a: float, b: float) -> bool:
    """Whether `a`, a deviation estimated from a tiny model's weights, may be `b`."""
    return abs(a - b) <= _TOLERANCE * abs(b)


def _gain(tiny: Tiny, measures: Measures, found: FieldMap) -> float:
    """The gain of fresh norms, its offset included."""
    if not measures.norm_weight:
        return 1.0
    names = measures.names
    role = next((r for r in names["decoder_layer"] if r.endswith("_norm")), None)
    path = names["transformer"].get("norm") if role is None else _in_layer(measures, names["decoder_layer"][role])
    weight = dict(tiny.build(random=False).named_parameters()).get(f"{path}.weight")
    if weight is None:
        return 1.0
    if float(weight.detach().std()) > 0:
        found.unknown.append(Unknown("initialisation", f"the gain of {path} is no constant"))
        return 1.0
    return round(float(weight.detach().mean()) + measures.norm_offset, 6)


def _in_layer(measures: Measures, *path: str | None) -> str:
    return ".".join(step for step in (measures.names["transformer"]["layers"], "0", *path) if step)


def _weights(measures: Measures) -> dict[str, str]:
    """Role -> weight of the first layer that has it, of the embeddings and of the head."""
    names = measures.names
    roles: dict[str, str] = {}
    for part in ("attention", "mlp"):
        for role, name in names.get(part, {}).items():
            if "norm" not in role:
                roles[role] = _in_layer(measures, names["decoder_layer"][part], name, "weight")
    for role in ("token", "position"):
        if role in names["embeddings"]:
            roles[role] = f"{names['embeddings'][role]}.weight"
    return roles | {"head": f"{names['lm_head']['head']}.weight"}


def _of_experts(trials: Trials) -> dict[str, str]:
    """Role -> weight of the first layer with experts."""
    first = first_mixture(trials.structure)
    return {} if first is None else dict(fresh_weights(first[1], first[0]))


def _deviations(tiny: Tiny, changes: dict[str, Any], roles: dict[str, str]) -> dict[str, float]:
    """Role -> standard deviation in a fresh model; empty where none can be built."""
    try:
        parameters = dict(tiny.build(random=False, **changes).named_parameters())
    except Exception:
        return {}
    own = {role: name for role, name in roles.items() if name in parameters and not _is_plug(tiny, name)}
    return {role: float(parameters[name].detach().std()) for role, name in own.items()}


def _is_plug(tiny: Tiny, parameter: str) -> bool:
    return tiny.plugs is not None and tiny.plugs.owns(parameter)
