"""Which config field is which answer: hypotheses that hold in every config that was examined, and varied."""

from collections.abc import Mapping

from levgen.survey.config.factors import map_factors
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.lists import kind_of
from levgen.survey.config.rotation import map_idle_window, map_rope
from levgen.survey.config.sizes import map_bound_heads, map_companions, map_sizes, map_unset
from levgen.survey.config.temperature import map_temperature
from levgen.survey.config.trials import Trial, Trials
from levgen.survey.evidence import Evidence
from levgen.survey.questions.learned_activation import FORMS


def map_fields(trials: Trials) -> FieldMap:
    """The map from HF fields to answers. What can't be mapped is fixed to its value, or noted as unknown."""
    found = FieldMap()
    map_sizes(trials, found)
    map_companions(trials, found)
    map_bound_heads(trials, found)
    map_unset(trials, found)
    map_temperature(trials, found)
    _map_kinds(trials, found)
    map_idle_window(trials, found)
    map_factors(trials, found)
    _map_switches(trials, found)
    return found


def _map_switches(trials: Trials, found: FieldMap) -> None:
    base = trials.base.measures
    assert base is not None
    names = ["attention_bias", "output_bias", "mlp_bias", "transform_bias", "head_bias", "tied", "moe_normalized"]
    # A norm with a gain is in a checkpoint or isn't: there its field is fixed.
    names += ["has_qk_norm"] if not base.qk_norm_weight else []
    names += ["has_temperature"] if "temperature_span" in found.sizes else []
    for name in names:
        for hf, value in trials.base.values.items():
            if not isinstance(value, bool):
                continue
            own = [t for t in trials.of(hf) or _bound(trials, hf) if t.measures is not None]
            if own and all(getattr(t.measures, name) == t.values[hf] for t in (trials.base, *own)):
                found.switches[name] = hf
                found.derived |= {other: hf for trial in own for other in trial.changes if other != hf}
                found.evidence.append(Evidence(f"switch of {name}", hf, 0.0, probe=f"{hf} on and off"))
                break


def _bound(trials: Trials, hf: str) -> list[Trial]:
    """The trials that altered a switch together with another one, which the config class wants to agree with it."""
    both = [trial for trial in trials.done if hf in trial.changes and len(trial.changes) == 2]
    return [trial for trial in both if all(isinstance(value, bool) for value in trial.changes.values())]


def _map_kinds(trials: Trials, found: FieldMap) -> None:
    base = trials.base.measures
    assert base is not None
    for hf, value in trials.base.values.items():
        own = [t for t in trials.of(hf) if t.measures is not None]
        for measure in ("activation", "transform_activation"):
            follows = own and all(t.measures is not None and t.values[hf] in getattr(t.measures, measure) for t in own)
            if isinstance(value, str) and value in getattr(base, measure) and follows and value not in FORMS:
                setattr(found, measure, hf)
                seen = [t.values[hf] for t in own]
                what = "of the activation" if measure == "activation" else "of the activation before the head"
                found.evidence.append(Evidence(f"field {what}", hf, 0.0, probe=f"{value}, {seen}"))
        if isinstance(value, Mapping) and base.position_kind == "rotary":
            map_rope(trials, found, hf, own)
        if isinstance(value, list | tuple) and own:
            kind = kind_of([(t.values[hf], t.measures) for t in (trials.base, *own)])
            if kind is not None:
                found.lists[kind.role] = hf
