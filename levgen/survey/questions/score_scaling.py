"""Are scores of latent attention multiplied as yarn's parameters say, beside cosine and sine?

Both are read from a config of that kind: what multiplies the scores of dimensions that don't turn, which cosine and
sine don't reach, and what multiplies those that do.
"""

from levgen.survey.config.factors import factor_in
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.measures import alike
from levgen.survey.config.rope_kinds import takes
from levgen.survey.config.rotation import rotates_as, score_scaling
from levgen.survey.config.trials import ROUNDING, Trials
from levgen.survey.evidence import Evidence, Unknown

_QUESTION = "scale of scores under yarn"
# Unlike each other, so that neither can stand for the other.
_YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 64,
    "mscale": 0.7,
    "mscale_all_dim": 1.3,
}


def find_score_scaling(trials: Trials, found: FieldMap) -> None:
    """Notes in `found` what was seen, as unknown where it isn't what `Rotary` does with the same parameters."""
    base = trials.base.measures
    assert base is not None
    if not base.latent or found.rope is None or not takes(trials.tiny, found.rope, "yarn", base.rotary_dim // 2):
        return
    parameters = {**trials.base.values[found.rope], **_YARN}
    trial = trials.attempt({found.rope: parameters})
    if trial is not None and trial.moved <= ROUNDING:
        found.evidence.append(Evidence(_QUESTION, "kinds of rotation are not read", trial.moved, probe=f"{_YARN}"))
        return
    if trial is None or trial.measures is None:
        why = "no such config runs" if trial is None else f"{trial.unknown}"
        found.unknown.append(Unknown(_QUESTION, f"{why}: {parameters}"))
        return
    held, expected = (factor_in(trials, found, one, "attention_scale") for one in (trial, trials.base))
    if rotates_as(parameters, trial, windowed=None) and alike(held, expected, 1e-4):
        seen = f"{score_scaling(parameters):.6g}, cosine and sine by {trial.measures.rotary_scaling[0]:.6g}"
        found.evidence.append(Evidence(_QUESTION, seen, 0.0, probe=f"{_YARN}"))
        return
    observed = f"{trial.measures.attention_scale:.6g} for {base.attention_scale:.6g}, cosine and sine by "
    observed += f"{trial.measures.rotary_scaling[0]:.6g}: not as yarn's mscale and mscale_all_dim say"
    found.unknown.append(Unknown(_QUESTION, observed))
