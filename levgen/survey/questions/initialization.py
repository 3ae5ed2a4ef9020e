"""How fresh weights are drawn: the deviation of each projection in a fresh model, and the field that it follows."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from levgen.reference.tiny import Tiny
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.measures import Measures
from levgen.survey.config.trials import Trials
from levgen.survey.evidence import Evidence, Unknown
from levgen.survey.mixture.card import first_mixture
from levgen.survey.mixture.names import fresh_weights

# A deviation estimated from n values is off by 1 / sqrt(2 n): below 1% for the smallest projection here.
_TOLERANCE = 0.06
_EMBEDDINGS = ("token", "position", "head")
# Which projections have std / sqrt(2 * layers), by initialization.residual and head_scaled.
_INTO_STREAM = {"same": (), "scaled": ("o", "down", "experts_down"), "scaled_attention": ("o",)}
_HEAD = {False: (), True: ("head", "transform")}
# Our names of what a deviation follows.
_FIELD, _EMBEDDING, _CUTOFF = "initializer_range", "embedding_initializer_range", "initializer_cutoff"
# Of as many values as a projection has here, drawn without a cutoff, the largest is further out than this many
# deviations; and with one, as near to it as this part of it.
_UNCUT, _NEAR = 3.3, 0.04


@dataclass(frozen=True)
class Initialization:
    """As a card writes it: a deviation is a number, or `initializer_range`. `gain`: of norms."""

    std: float | str = _FIELD
    embedding_std: float | str | None = None
    router_std: float | None = None
    residual: str = "same"
    gain: float = 1.0
    head_scaled: bool = False
    cutoff: str | None = None
    head_std: float | str | None = None


def find_initialization(trials: Trials, found: FieldMap) -> Initialization:
    """The initialisation, with its field noted in `found`; what doesn't fit is noted as unknown."""
    measures = trials.base.measures
    assert measures is not None
    roles = _weights(measures) | _of_experts(trials)
    untied = _untied(trials, found, roles)
    fresh = _deviations(trials.tiny, untied, roles)
    router_std = 0.0 if fresh.get("router") == 0.0 else None
    if router_std is not None:  # whatever the field of the others is
        del roles["router"], fresh["router"]
    gain = _gain(trials.tiny, measures, found)
    _check_activation(trials.tiny, measures, found)
    for hf, value in trials.base.values.items():
        if isinstance(value, bool) or not isinstance(value, float) or hf in found.mapped() or value <= 0:
            continue
        altered = _deviations(trials.tiny, {**untied, hf: 3 * value}, roles)
        if not altered or not any(near(altered[role], 3 * fresh[role]) for role in fresh if fresh[role]):
            continue
        found.initializer = hf
        found.ignored.pop(hf, None)
        found.fixed.pop(hf, None)
        cutoff = _cutoff(trials, found, untied, roles)
        for (residual, inner_scaled), (head_scaled, outer_scaled) in itertools.product(
            _INTO_STREAM.items(), _HEAD.items()
        ):
            scaled = (*inner_scaled, *outer_scaled)
            if head_scaled and not any(role in fresh for role in outer_scaled):
                continue
            factor = {role: (2 * measures.num_layers) ** -0.5 if role in scaled else 1.0 for role in fresh}
            factor = {role: own * (1.0 if cutoff is None else cutoff.deviation) for role, own in factor.items()}
            before, after = ({role: d[role] / factor[role] for role in d} for d in (fresh, altered))
            inner, outer = (
                _answer(before, after, [role for role in before if (role in _EMBEDDINGS) == outside], value)
                for outside in (False, True)
            )
            drawn, head = None if cutoff is None else _CUTOFF, None
            if inner is not None and outer is None and not head_scaled:
                outer = _of_embeddings(trials, found, untied, roles, fresh)
                head = _answer(before, after, ["head"], value) if "head" in before and outer is not None else None
                outer = None if "head" in before and head is None else outer
            if inner is not None and outer is not None:
                embedding = None if outer == inner else outer
                answer = Initialization(inner, embedding, router_std, residual, gain, head_scaled, drawn, head)
                shown = {role: f"{std:.4f}" for role, std in fresh.items()}
                found.evidence.append(Evidence("initialisation", f"{hf}: {answer}", probe=f"fresh: {shown}"))
                return answer
        ratios = {role: round(std / value, 3) for role, std in fresh.items()}
        found.unknown.append(Unknown("initialisation", f"deviations over {hf}: {ratios}"))
        return Initialization(gain=gain, router_std=router_std)
    return Initialization(gain=gain, router_std=router_std)


@dataclass(frozen=True)
class Cutoff:
    """A field that says how many deviations of a normal distribution fresh weights may be from 0."""

    value: float

    @property
    def deviation(self) -> float:
        """That of what is left, over that of the whole: https://en.wikipedia.org/wiki/Truncated_normal_distribution."""
        density = math.exp(-(self.value**2) / 2) / math.sqrt(2 * math.pi)
        return math.sqrt(1 - 2 * self.value * density / math.erf(self.value / math.sqrt(2)))

    def fits(self, weights: Mapping[str, Any]) -> bool:
        """Whether the largest of each of the `weights` is as far out as the cutoff lets it be."""
        furthest = [float(w.abs().max() / w.std()) for w in weights.values()]
        return all(abs(far * self.deviation - self.value) <= _NEAR * self.value for far in furthest)


def _untied(trials: Trials, found: FieldMap, roles: dict[str, str]) -> dict[str, Any]:
    """The change to the tiny config with which a head has a weight of its own, where there is one."""
    field = found.switches.get("tied")
    if field is None or not trials.base.values[field]:
        return {}
    return {field: False} if _fresh(trials.tiny, {field: False}, roles) else {}


def _cutoff(trials: Trials, found: FieldMap, untied: dict[str, Any], roles: dict[str, str]) -> Cutoff | None:
    """The cutoff of fresh weights, with its field noted in `found`: where they end moves as the field does."""
    weights = _fresh(trials.tiny, untied, roles)
    if any(float(w.abs().max() / w.std()) > _UNCUT for w in weights.values()):
        return None
    for hf, value in trials.base.values.items():
        if isinstance(value, bool) or not isinstance(value, float) or hf in found.mapped() or value <= 0:
            continue
        halved = _fresh(trials.tiny, {**untied, hf: value / 2}, roles)
        if Cutoff(value).fits(weights) and halved and Cutoff(value / 2).fits(halved):
            found.cutoff = hf
            found.ignored.pop(hf, None)
            found.fixed.pop(hf, None)
            return Cutoff(value)
    return None


def _of_embeddings(
    trials: Trials, found: FieldMap, untied: dict[str, Any], roles: dict[str, str], fresh: dict[str, float]
) -> str | None:
    """The name of the deviation of embeddings, with its field noted in `found`, where a field moves that alone."""
    tables = {role for role in fresh if role in ("token", "position")}
    for hf, value in trials.base.values.items():
        if isinstance(value, bool) or not isinstance(value, float) or hf in found.mapped() or value <= 0:
            continue
        altered = _deviations(trials.tiny, {**untied, hf: 3 * value}, roles)
        expected = {role: 3 * value if role in tables else std for role, std in fresh.items()}
        follow = altered and all(near(altered[role], std) for role, std in expected.items())
        if follow and all(near(fresh[role], value) for role in tables):
            found.embedding_initializer = hf
            found.ignored.pop(hf, None)
            found.fixed.pop(hf, None)
            return _EMBEDDING
    return None


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
    some = set(measures.missing_norm)  # a role of theirs is no weight of every layer
    role = next((r for r in names["decoder_layer"] if r.endswith("_norm") and r not in some), None)
    path = names["transformer"].get("norm") if role is None else _in_layer(measures, names["decoder_layer"][role])
    weight = dict(tiny.build(random=False).named_parameters()).get(f"{path}.weight")
    if weight is None:
        return 1.0
    if float(weight.detach().std()) > 0:
        found.unknown.append(Unknown("initialisation", f"the gain of {path} is no constant"))
        return 1.0
    return round(float(weight.detach().mean()) + measures.norm_offset, 6)


def _check_activation(tiny: Tiny, measures: Measures, found: FieldMap) -> None:
    """Notes where a fresh activation with parameters holds other numbers than the runtime's."""
    import levgen.runtime
    from levgen.runtime.testing import gradients_by_hf_name
    from levgen.scaffold.learned_activations import LEARNED_ACTIVATIONS

    names = measures.names
    if "act" not in names.get("mlp", {}) or measures.activation[0] not in LEARNED_ACTIVATIONS:
        return
    fresh = tiny.build(random=False).get_submodule(
        _in_layer(measures, names["decoder_layer"]["mlp"], names["mlp"]["act"])
    )
    made = getattr(levgen.runtime, LEARNED_ACTIVATIONS[measures.activation[0]].class_name).init()
    ours = {name: float(array.reshape(())) for name, array in gradients_by_hf_name(made).items()}
    theirs = {name: float(tensor.reshape(())) for name, tensor in fresh.state_dict().items()}
    if any(abs(theirs[name] - value) > 1e-6 * abs(value) for name, value in ours.items()):
        found.unknown.append(Unknown("initialisation", f"a fresh {measures.activation[0]} holds {theirs}, not {ours}"))


def _in_layer(measures: Measures, *path: str | None, index: int = 0) -> str:
    return ".".join(step for step in (measures.names["transformer"]["layers"], str(index), *path) if step)


def _weights(measures: Measures) -> dict[str, str]:
    """Role -> weight of the first layer that has it, of the embeddings and of the head."""
    names = measures.names
    roles: dict[str, str] = {}
    for part in ("attention", "mlp"):
        for role, name in names.get(part, {}).items():
            if "norm" not in role:
                index = measures.mixer.index(False) if part == "attention" else 0
                beside = part == "mlp" and "shared" in names["decoder_layer"]
                path = (names["decoder_layer"]["shared" if beside else part], name, "weight")
                roles[role] = _in_layer(measures, *path, index=index)
    for role in ("token", "position"):
        if role in names["embeddings"]:
            roles[role] = f"{names['embeddings'][role]}.weight"
    if "head_transform" in names:
        roles["transform"] = f"{names['head_transform']['dense']}.weight"
    return roles | {"head": f"{names['lm_head']['head']}.weight"}


def _of_experts(trials: Trials) -> dict[str, str]:
    """Role -> weight of the first layer with experts."""
    first = first_mixture(trials.structure)
    return {} if first is None else dict(fresh_weights(first[1], first[0]))


def _deviations(tiny: Tiny, changes: dict[str, Any], roles: dict[str, str]) -> dict[str, float]:
    """Role -> standard deviation in a fresh model; empty where none can be built."""
    return {role: float(weight.std()) for role, weight in _fresh(tiny, changes, roles).items()}


def _fresh(tiny: Tiny, changes: dict[str, Any], roles: dict[str, str]) -> dict[str, Any]:
    """Role -> weight of a fresh model; empty where none can be built."""
    try:
        parameters = dict(tiny.build(random=False, **changes).named_parameters())
    except Exception:
        return {}
    own = {role: name for role, name in roles.items() if name in parameters and not _is_plug(tiny, name)}
    return {role: parameters[name].detach() for role, name in own.items()}


def _is_plug(tiny: Tiny, parameter: str) -> bool:
    return tiny.plugs is not None and tiny.plugs.owns(parameter)
