"""The fields with parameters of rotations, held against the frequencies that were measured."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.measures import Measures, alike
from levgen.survey.config.trials import Trial, Trials
from levgen.survey.evidence import Evidence
from levgen.survey.observe.shapes import LENGTH


def map_idle_window(trials: Trials, found: FieldMap) -> None:
    """The window's field where no layer has one until the list of layers' types says so."""
    types = found.lists.get("layer_types")
    if types is None or "sliding_window" in found.sizes:
        return
    altered = next((t for t in trials.of(types) if t.measures is not None and t.measures.window), None)
    if altered is None or altered.measures is None:
        return
    for hf, value in trials.base.values.items():
        if value == altered.measures.window and not isinstance(value, bool):
            trial = trials.attempt({**altered.changes, hf: value + 3})
            if trial is not None and trial.measures is not None and trial.measures.window == value + 3:
                found.sizes["sliding_window"] = hf
                found.evidence.append(Evidence("field of sliding_window", hf, 0.0, probe=f"{value}, {value + 3}"))
                return


def map_rope(trials: Trials, found: FieldMap, hf: str, own: list[Trial]) -> None:
    """Whether a mapping holds the parameters of the rotation: one set, or one for each type of layer."""
    runs = [trials.base, *own]
    local, whole = "sliding_attention", "full_attention"
    if not own:
        return
    if all(rotates_as(t.values[hf], t, windowed=None, tempered="temperature_span" in found.sizes) for t in runs):
        found.rope = hf
    elif all(_of_windows_alone(t.values[hf], local, whole) for t in runs):
        unturned = all(t.measures is not None and not _turned_without_window(t.measures) for t in runs)
        if unturned and all(rotates_as(t.values[hf][local], t, windowed=True) for t in runs):
            found.rope = f"{hf}.{local}"
            found.fixed[f"{hf}.{whole}"] = None
    elif all(_nested(t.values[hf]) for t in runs) and all(
        rotates_as(t.values[hf].get(whole), t, windowed=False) and rotates_as(t.values[hf].get(local), t, windowed=True)
        for t in runs
    ):
        found.rope, found.local_rope = f"{hf}.{whole}", f"{hf}.{local}"
    if found.rope is not None:
        found.evidence.append(Evidence("field of the rotation", found.rope, None, probe=f"{len(runs)} settings"))


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(item, Mapping) for item in value.values())


def _of_windows_alone(value: Any, local: str, whole: str) -> bool:
    """Whether a mapping holds parameters of a rotation for layers with a window, and None for the others."""
    return isinstance(value, Mapping) and value.keys() == {local, whole} and value[whole] is None


def _turned_without_window(measures: Measures) -> bool:
    layers = zip(measures.rotating, measures.windowed, strict=False)
    return any(rotates and not windowed for rotates, windowed in layers)


def rotates_as(parameters: Any, trial: Trial, *, windowed: bool | None, tempered: bool = False) -> bool:
    """Whether the measured frequencies are those of HF's `parameters`, in layers with a window, without, or all.

    `tempered`: how queries grow with their position is said by other fields.
    """
    measures = trial.measures
    expected = rope_frequencies(parameters, measures)
    if expected is None or measures is None:
        return False
    frequencies, scaling = expected
    if not tempered and not alike(measures.query_scaling, query_scaling(parameters), 1e-4):
        return False
    layers = zip(measures.frequencies, measures.rotating, measures.windowed, strict=False)
    chosen = [found for found, rotates, has in layers if rotates and (windowed is None or has == windowed)]
    if windowed is not None and not chosen:
        return True
    if measures.latent and not all(alike(one, scaling, 1e-4) for one in measures.rotary_scaling):
        return False
    return bool(chosen) and all(_same_frequencies(found, frequencies) for found in chosen)


def rope_frequencies(parameters: Any, measures: Measures | None) -> tuple[list[float], float] | None:
    """(angles a position, factor on cosine and sine) that `rope_parameters` mean; None for other mappings."""
    from levgen.errors import LevgenError
    from levgen.reference.sizing.values import LENGTH as MAX_SEQ_LEN
    from levgen.runtime.rotary import Rotary
    from levgen.runtime.rotary_frequencies import frequencies

    if not isinstance(parameters, Mapping) or measures is None:
        return None
    try:
        rotary = Rotary.from_hf(parameters, max_seq_len=MAX_SEQ_LEN)
        usual, long = frequencies(rotary, measures.turning_width)
    except (LevgenError, TypeError):
        return None
    limit = rotary.original_max_position_embeddings
    if rotary.kind == "longrope" and limit is not None and limit < LENGTH:
        usual = long
    return [float(f) for f in usual], rotary.attention_scaling


def query_scaling(parameters: Mapping[str, Any]) -> tuple[float, ...] | None:
    """What queries are multiplied by in a probe, where `rope_parameters` say so; None where that is 1 throughout."""
    import haliax as hax

    from levgen.reference.sizing.values import LENGTH as MAX_SEQ_LEN
    from levgen.runtime.rotary import Rotary

    rotary = Rotary.from_hf(parameters, max_seq_len=MAX_SEQ_LEN)
    ones = hax.ones(hax.Axis("position", LENGTH))
    scaling = rotary.scaled_queries(ones, hax.arange(ones.axes[0])).array.tolist()
    return None if all(factor == 1.0 for factor in scaling) else tuple(scaling)


def score_scaling(parameters: Mapping[str, Any]) -> float:
    """What scores of latent attention are multiplied by beside their scale, as `rope_parameters` say."""
    from levgen.reference.sizing.values import LENGTH as MAX_SEQ_LEN
    from levgen.runtime.rotary import Rotary

    return Rotary.from_hf(parameters, max_seq_len=MAX_SEQ_LEN).score_scaling


def rotation_refusal(parameters: Mapping[str, Any]) -> str | None:
    """Why parameters with a theta are no rotation that the runtime has; None where they are one, or none at all."""
    from levgen.errors import LevgenError
    from levgen.reference.sizing.values import LENGTH as MAX_SEQ_LEN
    from levgen.runtime.rotary import Rotary

    if "rope_theta" not in parameters:
        return None
    try:
        Rotary.from_hf(parameters, max_seq_len=MAX_SEQ_LEN)
    except (LevgenError, TypeError) as error:
        return str(error).splitlines()[0]
    return None


def as_rotary(parameters: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """HF's rope parameters as a card writes them: theta, and what isn't at its own default."""
    from levgen.runtime.rotary import Rotary

    rotary = Rotary.from_hf(parameters, max_seq_len=limit)
    values = {
        field.name: list(value) if isinstance(value, tuple) else value
        for field in dataclasses.fields(rotary)
        if (value := getattr(rotary, field.name)) != field.default
    }
    return {"theta": rotary.theta} | values


def _same_frequencies(found: tuple[float, ...], expected: list[float]) -> bool:
    """Equal as far as a probe resolves: an angle of 1e-6 at its last distance."""
    if len(found) > len(expected):
        return False
    padded = [*found, *[0.0] * (len(expected) - len(found))]
    return all(abs(a - b) <= 1e-4 * b + 2e-6 for a, b in zip(padded, expected, strict=True))
