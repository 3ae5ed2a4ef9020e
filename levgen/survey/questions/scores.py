"""How queries and keys become probabilities: mask, positions, scale, soft cap.

Queries of one direction everywhere, keys of one direction at each position, and values that are one-hot by position:
what comes out then IS the probabilities, and their logarithms are the scores up to a constant a row.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from levgen.survey.evidence import Evidence, UnresolvedError, choose, relative
from levgen.survey.observe.anatomy import Anatomy
from levgen.survey.observe.bench import Bench
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.questions.channels import Roles
from levgen.survey.questions.clip import find_clip
from levgen.survey.questions.position_bias import alibi_bias, find_position_bias
from levgen.survey.questions.query_scaling import find_query_scaling
from levgen.survey.questions.rotation import find_rotation, scores_of_units, turned_before_norms
from levgen.survey.questions.scale_and_cap import find_scale_and_cap
from levgen.survey.questions.sinks import find_sinks


@dataclass(frozen=True)
class Growth:
    """Queries are multiplied by (1 + (position + 1) / length) ** exponent."""

    length: float
    exponent: float

    def at(self, position: int) -> float:
        """What a query at `position` is multiplied by."""
        return float((1 + (position + 1) / self.length) ** self.exponent)


# Angles in fp32 leave 1e-5 of a score.
_LOUD, _LOUD_ERROR = 200.0, 3e-2
# An attention is taken for another where the other's answers leave no more than this times what they left there.
_AS_NEAR = 10.0


@dataclass(frozen=True)
class Scores:
    """What an attention computes. `frequencies`: the angle a position for each rotating pair, negative backwards."""

    scale: float
    softcap: float | None
    clip: float | None
    sinks: str | None  # the parameter that holds them
    alibi: bool
    layout: str | None  # None: nothing rotates
    frequencies: tuple[float, ...]
    rotary_scaling: float  # what cosine and sine are multiplied by; 1 where the scale can't be told from it
    norm_after_rotation: bool
    query_scaling: tuple[float, ...] | None  # what queries are multiplied by, position by position; None: nothing
    evidence: tuple[Evidence, ...]
    growth: Growth | None = None  # of queries where nothing rotates
    value_scale: float = 1.0


def find_scores(anatomy: Anatomy, roles: Roles) -> Scores:
    """Raises UnresolvedError where the probabilities are those of no known attention."""
    evidence: list[Evidence] = []
    bench = Bench(anatomy, roles)
    bench.sinks, bench.value_scale = find_sinks(bench, evidence)
    bench.clip = find_clip(bench, evidence)
    bias = find_position_bias(bench, evidence)
    bench.query_scaling = find_query_scaling(bench, bias, evidence)
    scale, cap = find_scale_and_cap(bench, bias, evidence)
    table = scores_of_units(bench, bias, scale, cap)
    layout, frequencies, scale, scaling = find_rotation(bench, table, evidence)
    by_position = None if bench.query_scaling is None else tuple(bench.query_scaling.tolist())
    scores = Scores(
        scale, cap, bench.clip, bench.sinks, bias is not None, layout, frequencies, scaling, False, by_position, ()
    )
    _compare(anatomy, bench, scores, bias, evidence)
    turned = turned_before_norms(anatomy, bench)
    if turned is not None:
        if layout is not None:
            raise bench.unresolved("rotary positions", "queries rotate both before and after their norm")
        layout, frequencies, _, scaling = find_rotation(bench, turned, evidence)
    return replace(
        scores,
        value_scale=bench.value_scale,
        layout=layout,
        frequencies=frequencies,
        rotary_scaling=scaling,
        norm_after_rotation=turned is not None,
        evidence=tuple(evidence),
    )


def likely_scores(anatomy: Anatomy, roles: Roles, like: Scores) -> Scores | None:
    """`like`, the scores of another attention, where this one computes them; None where it isn't as near to them.

    It is asked as a whole, on what was recorded and on scores so large that a limit shows.
    """
    import torch

    if like.growth is not None or like.norm_after_rotation:
        return None
    if like.sinks is not None and like.sinks not in anatomy.loose:
        return None
    bench = Bench(anatomy, roles)
    bench.sinks, bench.clip, bench.value_scale = like.sinks, like.clip, like.value_scale
    bench.query_scaling = None if like.query_scaling is None else torch.tensor(like.query_scaling).double()
    evidence: list[Evidence] = []
    try:
        _compare(anatomy, bench, like, alibi_bias(bench) if like.alibi else None, evidence)
    except UnresolvedError:
        return None
    before = {entry.question: entry.error or 0.0 for entry in like.evidence}
    same = all((entry.error or 0.0) <= _AS_NEAR * before[entry.question] for entry in evidence)
    return like if same else None


def _compare(anatomy: Anatomy, bench: Bench, scores: Scores, bias: Any, evidence: list[Evidence]) -> None:
    """The whole attention against what was recorded and against variants, and on inputs so loud that a limit shows."""
    roles = bench.roles
    held = {leaf: anatomy.gave[leaf] for leaf in roles.core.sources}
    variants: dict[str, Any] = {"as found": scores}
    if scores.layout is not None:
        variants["without rotation"] = replace(scores, layout=None)
    variants["scale off by 1%"] = replace(scores, scale=scores.scale * 1.01)
    recorded = anatomy.run(held, roles.core.target).double()
    errors = {name: relative(attended(variant, bench, held, bias), recorded) for name, variant in variants.items()}
    evidence.append(choose("attention as a whole", errors, "recorded queries, keys and values", module=bench.module))
    # Scores of about +-_LOUD: what cuts them off makes the largest ones equal.
    factor = math.sqrt(_LOUD / scores.scale / math.sqrt(roles.head_dim))
    loud = {leaf: factor * x / x.std() for leaf, x in held.items()}
    error = relative(attended(scores, bench, loud, bias), anatomy.run(loud, roles.core.target).double())
    if not error <= _LOUD_ERROR:
        raise bench.unresolved("attention as a whole", f"off by {error:.1e} where scores are about {_LOUD:g}")
    evidence.append(Evidence("attention of large scores", "as found", error, probe=f"scores of about {_LOUD:g}"))


def attended(scores: Scores, bench: Bench, held: dict[str, Any], bias: Any) -> Any:
    """[T, heads * dim]: what `scores` make of the outputs `held` of the projections."""
    import torch

    roles = bench.roles
    q, k, v = roles.split(held)
    if bench.clip is not None:
        q, k, v = (x.clamp(-bench.clip, bench.clip) for x in (q, k, v))
    p = _probabilities(scores, bench, q, k, bias)
    v = bench.value_scale * v.repeat_interleave(roles.heads // roles.kv_heads, dim=1)
    return torch.einsum("hts,shd->thd", p, v).reshape(LENGTH, -1)


def _probabilities(scores: Scores, bench: Bench, q: Any, k: Any, bias: Any) -> Any:
    import torch

    group = bench.roles.heads // bench.roles.kv_heads
    if bench.query_scaling is not None:
        q = q * bench.query_scaling[:, None, None]
    if scores.layout is not None:
        q, k = (turn(x, scores) for x in (q, k))
    s = torch.einsum("thd,shd->hts", q, k.repeat_interleave(group, dim=1)) * scores.scale
    if scores.softcap is not None:
        s = scores.softcap * torch.tanh(s / scores.softcap)
    if bias is not None:
        s = s + bias
    s = s.masked_fill(~bench.visible, -math.inf)
    if scores.sinks is None:
        return s.softmax(-1)
    sinks = bench.anatomy.loose[scores.sinks].detach().double().reshape(-1, 1, 1).expand(-1, LENGTH, 1)
    return torch.cat([s, sinks], dim=-1).softmax(-1)[..., :-1]


def turn(x: Any, scores: Scores) -> Any:
    """`x` [T, heads, dim] rotated by its positions."""
    import torch

    half = len(scores.frequencies)
    angles = torch.arange(x.shape[0], dtype=torch.float64)[:, None, None] * torch.tensor(scores.frequencies).double()
    cosine, sine = angles.cos() * scores.rotary_scaling, angles.sin() * scores.rotary_scaling
    first = slice(0, half) if scores.layout == "half" else slice(0, 2 * half, 2)
    second = slice(half, 2 * half) if scores.layout == "half" else slice(1, 2 * half, 2)
    out = x.clone()
    out[..., first] = x[..., first] * cosine - x[..., second] * sine
    out[..., second] = x[..., second] * cosine + x[..., first] * sine
    return out
