"""Does the loss have a term for routers that are out of balance, and which fields switch and weigh it?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from levgen.reference.randomize import token_ids
from levgen.reference.record import record
from levgen.reference.sizing.values import VOCAB
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.trials import Trials
from levgen.survey.evidence import Evidence, UnresolvedError
from levgen.survey.mixture.whole import Mixture
from levgen.survey.observe.shapes import LENGTH, canonical

# Routers and losses are computed in fp32.
_ACCEPT = 1e-4
_COEFFICIENTS = (0.5, 0.25)


@dataclass(frozen=True)
class Balance:
    """The fields of the config that say whether the loss has the term, and what it is multiplied by."""

    switch: str
    coefficient: str


def find_balance(trials: Trials, found: FieldMap) -> Balance | None:
    """None where no switch adds to the loss. Raises UnresolvedError for a term that is not the known one."""
    mixtures = [layer.block for layer in trials.structure.layers if isinstance(layer.block, Mixture)]
    if not mixtures:
        return None
    idle = {name: value for name, value in trials.base.values.items() if name in found.ignored}
    switches = [name for name, value in idle.items() if isinstance(value, bool)]
    weights = [name for name, value in idle.items() if isinstance(value, float)]
    without = _loss(trials, {})
    for switch in switches if without is not None else []:
        for weight in weights:
            changes = [{switch: True, weight: value} for value in _COEFFICIENTS]
            losses = [_loss(trials, change) for change in changes]
            pairs = zip(losses, _COEFFICIENTS, strict=True)
            terms = [0.0 if loss is None or without is None else (loss - without) / c for loss, c in pairs]
            if abs(terms[0]) < 1e-3 or abs(terms[0] - terms[1]) > _ACCEPT * abs(terms[0]):
                continue
            expected = _expected(trials, mixtures)
            error = abs(terms[0] - expected) / expected
            question = "the loss of routers that are out of balance"
            if error > _ACCEPT:
                observed = f"{switch} adds {weight} * {terms[0]:.6g}; experts * sum(share * mean): {expected:.6g}"
                raise UnresolvedError(question, observed, trials.structure.model)
            for name in (switch, weight):
                del found.ignored[name]
            said = f"{weight} * experts * sum(share * probability), where {switch}"
            found.evidence.append(Evidence(question, said, error, probe=f"the loss at {weight}={_COEFFICIENTS}"))
            return Balance(switch, weight)
    return None


def _loss(trials: Trials, changes: Mapping[str, Any]) -> float | None:
    import torch

    ids = token_ids(VOCAB, LENGTH)
    try:
        model = trials.tiny.build(**changes)
        with torch.no_grad():
            return float(model(ids, labels=ids).loss)
    except Exception:
        return None


def _expected(trials: Trials, mixtures: list[Mixture]) -> float:
    """Experts times the sum of each one's share of the tokens of all layers times its mean probability."""
    import torch

    modules = {str(index): mixture.bank.module for index, mixture in enumerate(mixtures)}
    model, ids = trials.structure.model, token_ids(VOCAB, LENGTH)
    calls = record(lambda: model(ids), modules)
    logits = [mixtures[int(c.name)].router.logits(mixtures[int(c.name)].bank, canonical(c.input)) for c in calls]
    probability = torch.cat(logits).softmax(-1)
    chosen = probability.topk(mixtures[0].router.chosen, dim=-1)[1]
    share = torch.nn.functional.one_hot(chosen, probability.shape[-1]).sum(1).double().mean(0)
    return float((share * probability.mean(0)).sum() * probability.shape[-1])
