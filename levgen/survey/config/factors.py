"""Which fields are factors, or powers of sizes."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from levgen.survey.config.field_map import ALONE, BESIDE, FieldMap, is_identifier
from levgen.survey.config.measures import alike
from levgen.survey.config.rotation import rope_frequencies, score_scaling
from levgen.survey.config.trials import Trial, Trials
from levgen.survey.evidence import Evidence, Unknown

# What a factor is where it does nothing.
NEUTRAL: dict[str, float | None] = {
    "norm_eps": None,
    "embedding_scale": 1.0,
    "attention_scale": None,
    "attention_softcap": None,
    "attention_clip": None,
    "latent_norm_eps": None,
    "growth_length": None,
    "growth_exponent": None,
    "value_scale": 1.0,
    "indexer_norm_eps": None,
    "residual_scale": 1.0,
    "moe_scale": 1.0,
    "moe_norm_order": None,
    "router_jitter": None,
    "swiglu_alpha": None,
    "swiglu_limit": None,
    "logit_scale": 1.0,
    "logit_softcap": None,
}
# Factors of layers that don't rotate; the measure that says which of them these are.
_OF_SOME = {"growth_length": "unturned", "growth_exponent": "unturned"}
_POWERS = (1.0, -1.0, -0.5, 0.5)


def map_factors(trials: Trials, found: FieldMap) -> None:
    """Each factor as a power of a size or of a field, or as a number that never changed."""
    for name, neutral in NEUTRAL.items():
        measured = {id(t): factor_in(trials, found, t, name) for t in trials.examined}
        base = measured[id(trials.base)]
        if base is None and all(v is None for v in measured.values()):
            continue
        tolerance = 1e-3 if name.endswith("norm_eps") else 1e-5
        for factor, held, hf in _factor_hypotheses(trials, found, neutral):
            runs = _factor_runs(trials, found, name, hf, measured)
            values = [held(t) for t in runs]
            varied = any(not alike(v, values[0], tolerance) for v in values)
            if varied and all(alike(measured[id(t)], v, tolerance) for t, v in zip(runs, values, strict=True)):
                found.factors[name] = factor
                others = sum(not alike(measured[id(t)], base) for t in runs)
                found.evidence.append(
                    Evidence(f"factor {name}", factor, 0.0, probe=f"{len(runs)} configs, {others} with another value")
                )
                break
        else:
            runs = _factor_runs(trials, found, name, None, measured)
            found.factors[name] = base
            if not all(alike(measured[id(t)], base, tolerance) for t in runs):
                seen = [(t.changes, measured[id(t)]) for t in runs if not alike(measured[id(t)], base)]
                found.unknown.append(
                    Unknown(f"factor {name}", f"{base} in the tiny config, {seen[:3]}: it follows no field")
                )


def factor_in(trials: Trials, found: FieldMap, trial: Trial, name: str) -> float | None:
    """A factor as measured; the scale of attention without what the rotation's own parameters multiply it by."""
    value: float | None = getattr(trial.measures, name)
    if name != "attention_scale" or value is None or found.rope is None or trial.measures is None:
        return value
    parameters = trial.values.get(found.rope.partition(".")[0])
    if "." in found.rope and isinstance(parameters, Mapping):
        parameters = parameters.get(found.rope.partition(".")[2])
    expected = rope_frequencies(parameters, trial.measures)
    if trial.measures.latent:
        return value / score_scaling(parameters) if isinstance(parameters, Mapping) and expected is not None else value
    whole = trial.measures.rotary_dim == trial.measures.head_dim
    return value if expected is None or not whole else value / expected[1] ** 2


def _factor_runs(
    trials: Trials, found: FieldMap, name: str, hf: str | None, measured: Mapping[int, Any]
) -> list[Trial]:
    """The trials that a hypothesis about a factor must hold in: those of sizes, of its own field, and all that kept it.

    A field of another kind that changes the factor is fixed to its value.
    """
    base = measured[id(trials.base)]
    sized = {*found.sizes.values(), *found.derived, *({hf} if hf else set())}
    runs = [t for t in trials.examined if set(t.changes) <= sized or alike(measured[id(t)], base)]
    # Where no layer has experts, nothing scales them; where all rotate, no queries grow.
    return [t for t in runs if base is None or measured[id(t)] is not None or _has(t, _OF_SOME.get(name, "sparse"))]


def _has(trial: Trial, which: str) -> bool:
    """Whether some of the layers that were examined are such as the measure `which` says."""
    return trial.measures is None or any(getattr(trial.measures, which))


def _factor_hypotheses(
    trials: Trials, found: FieldMap, neutral: float | None
) -> Iterator[tuple[str, Callable[[Trial], float | None], str | None]]:
    """(as a card writes it, its value in a trial, the field it comes from). None in a field is `neutral`."""
    for hf, value in trials.base.values.items():
        if not _may_be_factor(trials, found, hf, value):
            continue
        for power in _POWERS:

            def of_field(trial: Trial, hf: str = hf, power: float = power) -> float | None:
                held = trial.values.get(hf, 0)
                if held is None:
                    return neutral
                return None if not isinstance(held, int | float) or held <= 0 else float(float(held) ** power)

            yield hf if power == 1.0 else f"{hf}**{power:g}", of_field, hf
    for size, power in ALONE:
        yield f"{size}**{power:g}", _power_of(size, power), None
    for hf, value in trials.base.values.items():
        if not _may_be_factor(trials, found, hf, value):
            continue
        for size, power in BESIDE:

            def of_both(trial: Trial, hf: str = hf, size: str = size, power: float = power) -> float | None:
                held = trial.values.get(hf)
                return None if not isinstance(held, int | float) else held * _power_of(size, power)(trial)

            yield f"{hf} * {size}**{power:g}", of_both, hf


def _power_of(size: str, power: float) -> Callable[[Trial], float]:
    return lambda trial: float(float(getattr(trial.measures, size)) ** power)


def _may_be_factor(trials: Trials, found: FieldMap, hf: str, value: Any) -> bool:
    """Whether a field holds a number that was altered, and is no size's."""
    if isinstance(value, bool) or not isinstance(value, int | float | None) or hf in found.sizes.values():
        return False
    return is_identifier(hf) and any(trial.measures is not None for trial in trials.of(hf))
