"""Whether a change of a field moved nothing, and how a card says so."""

from levgen.survey.config.card_text import card_text
from levgen.survey.config.trials import FLOAT32, ROUNDING, Trial, Trials

# Characters of a value in a reason: a generated file holds the reason on one line.
_REASON = 16


def idle(trials: Trials, trial: Trial) -> bool:
    """Nothing moved, or no more than fp32 rounds off, and every measure stayed."""
    base = trials.base.measures
    assert base is not None
    if trial.moved <= ROUNDING:
        return trial.measures is None or not base.differing(trial.measures)
    return trial.moved <= FLOAT32 and trial.measures is not None and not base.differing(trial.measures)


def reason(trials: Trials, hf: str, own: list[Trial]) -> str:
    """Why a field whose change moved nothing is ignored."""
    if any(trial.in_training for trial in own):
        return "acts in training only, as dropout does"
    rounding = " but rounding" if any(trial.moved > 0 for trial in own) else ""
    said = card_text(trials.base.values[hf])[:_REASON]
    altered = ", ".join(dict.fromkeys(card_text(trial.changes[hf]) for trial in own))[:_REASON]
    return f"nothing moved{rounding} when it changed from {said} to {altered}"
