"""How do queries grow with their position, in a layer where nothing rotates?

The layer is recorded with its tokens at ever later positions. At one key's distance 0 the score is then that of the
first positions times what queries have grown by, which one equation must give from the first position to the last.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from levgen.reference.record import Call, Probe
from levgen.survey.evidence import UnresolvedError, choose, relative
from levgen.survey.observe.anatomy import Anatomy
from levgen.survey.observe.bench import Bench
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.questions.channels import Roles
from levgen.survey.questions.query_scaling import scores_by_position
from levgen.survey.questions.scores import Growth, Scores

_QUESTION = "growth of queries with their position"
# Where the first of the tokens stands, and between which powers of 10 the length lies over which queries grow.
_STARTS = (0, 100, 1000, 10_000, 100_000, 1_000_000)
_POWERS = (0.0, 6.0)
# Growth is computed in fp32, on queries that are rounded to it.
_ACCEPT = 1e-6


def find_query_growth(record: Callable[[Any], Call], anatomy: Anatomy, roles: Roles, scores: Scores) -> Scores:
    """`scores` with how queries grow, and the scale that is left of theirs; as they are where they grow in another way.

    Of that the factors at the first positions are known, which fields of the config must explain.

    `record`: the call of the layer whose tokens stand at given positions [1, T]. `anatomy` and `roles`: of the layer.
    Raises UnresolvedError where the model can't be told positions, and where queries grow by a logarithm.
    """
    import torch

    module = anatomy.probe.calls[roles.core.target].module
    positions, seen = [], []
    for start in _STARTS:
        at = torch.arange(start, start + LENGTH)
        try:
            call = record(at[None])
        except TypeError as error:
            raise UnresolvedError(_QUESTION, f"the model can't be told positions: {error}", module) from error
        probe = Probe(call, {name: own.module for name, own in anatomy.probe.calls.items()})
        bench = Bench(replace(anatomy, probe=probe), roles)
        bench.sinks, bench.clip, bench.value_scale = scores.sinks, scores.clip, scores.value_scale
        score = scores_by_position(bench, None)
        if scores.softcap is not None:
            score = scores.softcap * torch.atanh(score / scores.softcap)
        positions.append(at[1:])
        seen.append(score[1:])
    after, found = torch.cat(positions).double() + 1, torch.cat(seen)
    fits = {"power": _fitted(after, found, logarithmic=True), "logarithm": _fitted(after, found, logarithmic=False)}
    errors = {f"{name} {fit.exponent:g} over {fit.length:g}": error for name, (fit, error) in fits.items()}
    if min(errors.values()) > _ACCEPT:
        return scores
    probe_said = f"the score of a key at distance 0, with tokens from positions {', '.join(map(str, _STARTS))} on"
    evidence = choose(_QUESTION, errors, probe_said, module=module, accept=_ACCEPT)
    name = min(fits, key=lambda name: fits[name][1])
    growth, _ = fits[name]
    if name != "power":
        raise UnresolvedError(_QUESTION, f"{evidence.chosen}: known is a power only", module)
    # The scale that was found is that at position 1.
    scale = scores.scale / growth.at(1)
    return replace(scores, scale=scale, query_scaling=None, growth=growth, evidence=(*scores.evidence, evidence))


def _fitted(after: Any, score: Any, *, logarithmic: bool) -> tuple[Growth, float]:
    """The growth that is nearest to `score` [n] at positions `after` - 1 [n], and its relative error.

    As a power, which is linear in logarithms, or as 1 + exponent * log(1 + after / length).
    """
    import torch

    target = score.log() if logarithmic else score

    def fit(length: float) -> tuple[float, float, float]:
        """(error, constant, factor) of constant + factor * log(1 + after / length)."""
        basis = torch.stack([torch.ones_like(after), (after / length).log1p()], dim=1)
        solution = torch.linalg.lstsq(basis, target[:, None]).solution
        error = float((basis @ solution - target[:, None]).abs().max())
        return error, float(solution[0]), float(solution[1])

    low, high = _POWERS
    while high - low > 1e-7:  # the best of some lengths, then of some around it
        step = (high - low) / 20
        tried = [low + step * i for i in range(21)]
        best = min(tried, key=lambda power: fit(10**power)[0])
        low, high = max(low, best - step), min(high, best + step)
    length = float(f"{10**best:.5g}")
    _, constant, factor = fit(length)
    exponent = float(f"{factor if logarithmic else factor / constant:.5g}")
    made = (1 + after / length) ** exponent if logarithmic else 1 + exponent * (after / length).log1p()
    made = made * (score * made).sum() / made.pow(2).sum()
    return Growth(length, exponent), relative(made, score)
