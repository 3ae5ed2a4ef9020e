"""The hyperparameters of a rotation, and the field that says how long a sequence may be."""

from typing import Any

from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.measures import Measures, alike
from levgen.survey.config.rotation import as_rotary, rope_frequencies
from levgen.survey.config.trials import Trials
from levgen.survey.evidence import UnresolvedError

# Where a class has no parameters of its own: the base of all configs of transformers.
_USUAL_ROTATION = {"rope_type": "default", "rope_theta": 10000.0}


def rotation_of(trials: Trials, found: FieldMap, measures: Measures) -> dict[str, Any]:
    """Hyperparameters of the rotation."""
    if measures.position_kind != "rotary" or (found.rope is None and "rotary_dim" in found.sizes):
        return {}
    made = {}
    for ours, hf in (("rope", found.rope), ("local_rope", found.local_rope)):
        if hf is not None:
            name, _, key = hf.partition(".")
            parameters = trials.fields[name].get(key, _USUAL_ROTATION) if key else trials.fields[name]
            length = found.sizes.get("max_seq_len") or length_field(trials, found)
            limit = trials.fields[length] if length is not None else 2048
            made[ours] = {"default": as_rotary(parameters, limit), "hf": hf}
    if "rope" in made:
        if scales_queries(trials, found):
            # A test must go past the length at which that begins.
            rope: Any = made["rope"]["default"]
            made["rope"]["tiny"] = {**rope, "theta": 500.0, "original_max_position_embeddings": 24}
        return made
    # No field holds it: the angles themselves.
    frequencies = next(f for f, rotates in zip(measures.frequencies, measures.rotating, strict=True) if rotates)
    theta = float(f"{frequencies[1] ** -len(frequencies):.5g}") if len(frequencies) > 1 else 10000.0
    fraction = measures.rotary_dim / measures.turning_width
    rotary = {"rope_theta": theta, "rope_type": "default"}
    rotary |= {"partial_rotary_factor": fraction} if fraction != 1 else {}
    expected = rope_frequencies(rotary, measures)
    if expected is None or not alike(tuple(expected[0]), frequencies, 1e-4):
        raise UnresolvedError("frequencies of rotary positions", f"{frequencies[:4]} are no powers of one number")
    return {"rope": {"default": {"theta": theta} | ({"fraction": fraction} if fraction != 1 else {})}}


def scales_queries(trials: Trials, found: FieldMap) -> bool:
    """Whether queries grow with their position in some config that was examined, as the rotation's parameters say."""
    return "temperature_span" not in found.sizes and any(
        trial.measures is not None and trial.measures.query_scaling for trial in trials.examined
    )


def length_field(trials: Trials, found: FieldMap) -> str | None:
    """The field that states the longest sequence where nothing in the model has that size.

    A name is all there is to go by: transformers' own, or the only one that hints at a length. Nothing moved with it.
    """
    names = getattr(trials.tiny.found.config_class, "attribute_map", {})
    hf = str(names.get("max_position_embeddings", "max_position_embeddings"))
    if hf in found.ignored:
        return hf
    hinted = [
        name
        for name in found.ignored
        if any(hint in name for hint in ("seq_len", "max_len", "ctx", "position")) and _is_size(trials.fields[name])
    ]
    return hinted[0] if len(hinted) == 1 else None


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 64
