"""Whether a field changes what is read from it, and nothing beside."""

from levgen.survey.config.field_map import FieldMap, field_of, sizes_in
from levgen.survey.config.indexer_measures import INDEXED
from levgen.survey.config.latent_measures import LATENT
from levgen.survey.config.trials import Trials
from levgen.survey.evidence import Unknown
from levgen.survey.mixture.measures import MIXTURE

# What else may move with a field that one of these is read from.
_FOLLOWS_SIZES = {
    "hidden_dim",
    "intermediate_dim",
    "num_layers",
    "num_heads",
    "num_kv_heads",
    "head_dim",
    "position_rows",
    "window",
    "chunk",
    "windowed",
    "normed",
    "tempered",
    "rotary_dim",
    "frequencies",
    "rotating",
    "rotary_scaling",
    "attention_scale",
    "embedding_scale",
    *MIXTURE,
    *LATENT,
    *INDEXED,
    "norm_gate_rank",
    "norm_gates",
    "local_kv_multiple",
    "missing_norm",
    "added_bias",
    "mixer",
}
# What a switch, or a number, moves beside the measure that it is the value of.
_GOES_WITH = {
    "has_qk_norm": {"normed", "qk_norm", "qk_norm_weight", "norm_after_rotation"},
    "has_temperature": {"tempered", "query_scaling"},
    "temperature_scale": {"query_scaling"},
    "temperature_span": {"query_scaling"},
}


def drop_what_explains_too_little(trials: Trials, found: FieldMap) -> None:
    """A switch whose field changes more than it says is no switch: its field is fixed."""
    base = trials.base.measures
    assert base is not None
    sizes = set(found.sizes.values()) | set(found.derived)
    explained: dict[str, set[str]] = {}
    for measure, hf in found.switches.items():
        explained.setdefault(hf, set()).add(measure)
    for measure, factor in found.factors.items():
        if (field := field_of(factor)) is not None:
            explained.setdefault(field, set()).add(measure)
    for measure in ("activation", "transform_activation"):
        if (hf := getattr(found, measure)) is not None:
            explained.setdefault(hf, set()).add(measure)
    for hf, known in explained.items():
        for trial in trials.of(hf):
            if trial.measures is None or hf in sizes:
                continue
            also = {name for measure in known for name in _GOES_WITH.get(measure, ())}
            more = set(base.differing(trial.measures)) - known - also
            if more:
                found.switches = {m: f for m, f in found.switches.items() if f != hf}
                for measure, factor in found.factors.items():
                    if field_of(factor) == hf and measure not in _GOES_WITH:
                        found.factors[measure] = getattr(base, measure)
    for hf in sizes:
        ours = {name for name, of in found.sizes.items() if of == hf}
        with_size = {measure for measure, factor in found.factors.items() if ours & sizes_in(factor)}
        with_size |= {name for size in ours for name in _GOES_WITH.get(size, ())}
        for trial in trials.of(hf):
            moved = set() if trial.measures is None else set(base.differing(trial.measures))
            more = moved - _FOLLOWS_SIZES - with_size
            if more:
                found.unknown.append(Unknown(f"field {hf}", f"it changes {', '.join(sorted(more))} beside a size"))
