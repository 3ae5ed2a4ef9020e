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
from levgen.survey.questions.dataflow import source_of_norm
from levgen.survey.questions.query_scaling import find_query_scaling
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
# By what a query or a key grows, until its probability is as good as 0; so many of them are tried at once.
_AMPLITUDES = tuple(0.5 * 2.0**n for n in range(18))
_AT_ONCE = 6
# Of as many keys, most are of dimensions that don't meet a query's.
_KEYS = 5


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
    bias = _position_bias(bench, evidence)
    bench.query_scaling = find_query_scaling(bench, bias, evidence)
    scale, cap = _scale_and_cap(bench, bias, evidence)
    table = _table(bench, bias, scale, cap)
    layout, frequencies, scale, scaling = _rotation(bench, table, evidence)
    by_position = None if bench.query_scaling is None else tuple(bench.query_scaling.tolist())
    scores = Scores(
        scale, cap, bench.clip, bench.sinks, bias is not None, layout, frequencies, scaling, False, by_position, ()
    )
    _compare(anatomy, bench, scores, bias, evidence)
    turned = _before_norms(anatomy, bench)
    if turned is not None:
        if layout is not None:
            raise bench.unresolved("rotary positions", "queries rotate both before and after their norm")
        layout, frequencies, _, scaling = _rotation(bench, turned, evidence)
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
        _compare(anatomy, bench, like, _alibi(bench) if like.alibi else None, evidence)
    except UnresolvedError:
        return None
    before = {entry.question: entry.error or 0.0 for entry in like.evidence}
    same = all((entry.error or 0.0) <= _AS_NEAR * before[entry.question] for entry in evidence)
    return like if same else None


def _before_norms(anatomy: Anatomy, bench: Bench) -> Any:
    """What turns queries and keys between their projection and their norm, as `_table`; None where nothing does."""
    import torch

    dim = bench.roles.head_dim
    tables = []
    for leaf in bench.roles.core.sources:
        found = source_of_norm(anatomy, leaf)
        if found is None or not found[2]:
            continue
        root, columns, _ = found
        table = torch.zeros(LENGTH, dim, dim, dtype=torch.float64)
        for i in range(dim):
            unit = torch.zeros_like(anatomy.gave[root])
            unit[:, list(columns)[i::dim]] = 1.0
            rows = anatomy.run({root: unit}, leaf).double().reshape(LENGTH, -1, dim)
            if float((rows - rows[:, :1]).abs().max()) > 1e-6:
                raise bench.unresolved("rotary positions", f"heads differ before {leaf}")
            table[:, i] = rows[:, 0]
        tables.append(table)
    if not tables:
        return None
    if len(tables) != 2 or relative(tables[0], tables[1]) > 1e-6:
        raise bench.unresolved("rotary positions", "queries and keys are not treated alike before their norms")
    return tables[0]


def _position_bias(bench: Bench, evidence: list[Evidence]) -> Any:
    """The bias [heads, T, T] on scores when queries are zero: None, or ALiBi's."""
    import torch

    p = bench.probabilities(*bench.even())
    if bool((p[:, bench.visible] == 0).any()):
        raise bench.unresolved("mask", "some positions that values reach have probability 0 at queries of zero")
    bias = torch.where(bench.visible, p.clamp_min(1e-300).log(), torch.zeros_like(p))
    bias = torch.where(bench.visible, bias - bias.diagonal(dim1=1, dim2=2)[:, :, None], torch.zeros_like(p))
    size = float(bias.abs().max())
    alibi = _alibi(bench)
    errors = {"none": size, "alibi": relative(alibi, bias) if size > 1e-5 else 1.0}
    found = choose("bias of a score by position", errors, "probabilities at queries of zero", module=bench.module)
    evidence.append(found)
    return alibi if found.chosen == "alibi" else None


def _alibi(bench: Bench) -> Any:
    """[heads, T, T]: ALiBi's bias on scores."""
    import torch

    slopes = _alibi_slopes(bench.roles.heads)[:, None, None]
    return torch.where(bench.visible, -slopes * bench.distance, 0.0)


def _alibi_slopes(heads: int) -> Any:
    """Slope of each head: https://arxiv.org/abs/2108.12409."""
    import torch

    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    slopes += [2 ** (-4 * (2 * i + 1) / power) for i in range(heads - power)]
    return torch.tensor(slopes, dtype=torch.float64)


def _scale_and_cap(bench: Bench, bias: Any, evidence: list[Evidence]) -> tuple[float, float | None]:
    """Scale at distance 0 and soft cap: the score of one key, at growing amplitudes, always negative."""
    seen = [*_sweep(bench, bias, keys=False), *_sweep(bench, bias, keys=True)]
    seen.sort()
    slopes = [score / a for a, score in seen]
    if slopes[0] <= 1e-6:
        raise bench.unresolved("scale", f"scores {seen[:3]} at queries along a key")
    probe = f"a key at distance 0 at amplitudes 0.5 to {seen[-1][0]:g}"
    linear = max(abs(s / slopes[-1] - 1) for s in slopes)
    # 1e-4: below an amplitude of 1, probabilities in fp32 leave 1e-6 of a score.
    if linear < 1e-4:
        evidence.append(Evidence("soft cap of scores", None, linear, "tanh", None, probe))
        return slopes[-1], None
    cap = seen[-1][1]
    low = next(pair for pair in seen if pair[0] >= 2 * seen[0][0])
    for _ in range(200):  # fixed point of cap * tanh(slope * a / cap) = score, from the largest amplitude
        slope = _uncapped(low[1], cap) / low[0]
        cap = seen[-1][1] / math.tanh(slope * seen[-1][0] / cap)
    error = max(abs(cap * math.tanh(slope * a / cap) / score - 1) for a, score in seen)
    evidence.append(
        choose("soft cap of scores", {f"{cap:.6g}": error, "none": linear}, probe, module=bench.module, accept=1e-4)
    )
    return slope, float(f"{cap:.6g}")


def _sweep(bench: Bench, bias: Any, *, keys: bool) -> list[tuple[float, float]]:
    """(amplitude, minus the score) of one key at distance 0: queries grow, or keys do. Amplitudes as far as no clip."""
    # The first from the middle on that sees the key before it.
    at = next((t for t in range(LENGTH // 2, LENGTH) if bool(bench.visible[t, t - 1])), LENGTH // 2)
    other = at - 1
    unit = bench.unit

    def case(amplitude: float) -> tuple[Any, Any]:
        q, k = bench.even()
        q[:, :, 0] = unit if keys else amplitude
        k[at, :, 0] = -(amplitude if keys else unit)
        return q, k

    parts = [_AMPLITUDES[start : start + _AT_ONCE] for start in range(0, len(_AMPLITUDES), _AT_ONCE)]
    tried = (
        (a, p) for part in parts for a, p in zip(part, bench.probabilities_of_each([*map(case, part)]), strict=True)
    )
    seen: list[tuple[float, float]] = []
    for amplitude, p in tried:
        if float(p[:, at, at].min()) < 1e-30:
            break
        score = p[:, at, at].log() - p[:, at, other].log() + (0.0 if bias is None else bias[:, at, other])
        if float((score - score[0]).abs().max()) > 1e-5 * float(score.abs().max()):
            raise bench.unresolved("scale", f"it differs by head: {score.tolist()} at amplitude {amplitude}")
        seen.append((unit * bench.clipped(amplitude), float(-score[0])))
    return seen


def _uncapped(score: float, cap: float) -> float:
    return cap * math.atanh(min(score / cap, 1 - 1e-12))


def _table(bench: Bench, bias: Any, scale: float, cap: float | None) -> Any:
    """M [distance, dim of query, dim of key]: the score of unit vectors. The same everywhere and for all heads."""
    import torch

    r = bench.roles
    unit = bench.unit
    amplitude = bench.clipped(4.0 / scale if cap is None else min(4.0, 0.5 * cap) / scale)
    # [dim of query, distance and dim of key]
    total = torch.zeros(r.head_dim, LENGTH * r.head_dim, dtype=torch.float64)
    low, high, count = (torch.full_like(total, x) for x in (math.inf, -math.inf, 0))
    enough = bench.visible.sum(-1) >= _KEYS
    at, keys = (bench.visible & enough[:, None]).nonzero(as_tuple=True)
    # A wide head has more dimensions than a probe has rows, and chunks have few rows with enough keys: keys begin with
    # other dimensions in turn.
    for start in range(0, r.head_dim, LENGTH - _KEYS + 1 if r.chunk is None else _KEYS - 1):
        if r.chunk is not None and bool((count[:, : 2 * r.head_dim] > 0).all()):
            break
        key_dim = (torch.arange(LENGTH) + start) % r.head_dim
        cases = []
        for i in range(r.head_dim):
            q, k = bench.even()
            q[:, :, i] = amplitude
            k[torch.arange(LENGTH), :, key_dim] = unit
            cases.append((q, k))
        scores = torch.stack(bench.probabilities_of_each(cases)).clamp_min(1e-300).log()
        if bias is not None:
            scores = scores - bias
        scores = scores.masked_fill(~bench.visible, math.nan)
        # Most keys are of dimensions that don't meet the query's: their score is 0.
        scores = (scores - scores.nanmedian(dim=-1, keepdim=True).values)[:, :, at, keys]
        if cap is not None:
            scores = cap * torch.atanh(scores / cap)
        scores = scores / (amplitude * unit)  # [dim of query, heads, pairs of positions]
        where = ((at - keys) * r.head_dim + key_dim[keys]).expand(r.head_dim, -1)
        total.scatter_add_(1, where, scores.mean(1))
        count.scatter_add_(1, where, torch.ones_like(where, dtype=count.dtype))
        low.scatter_reduce_(1, where, scores.amin(1), "amin")
        high.scatter_reduce_(1, where, scores.amax(1), "amax")
    known = count > 0
    spread = float((high - low)[known].max())
    if spread > 1e-4 * scale:
        raise bench.unresolved(
            "score of a query and a key",
            f"at one distance it differs by position or head by {spread / scale:.2g} of it",
        )
    table = torch.where(known, total / count.clamp_min(1), torch.full_like(total, math.nan))
    return table.reshape(r.head_dim, LENGTH, r.head_dim).movedim(0, 1)


def _rotation(bench: Bench, table: Any, evidence: list[Evidence]) -> tuple[str | None, tuple[float, ...], float, float]:
    """Layout, frequencies, scale and the factor on cosine and sine, from the scores of unit vectors."""
    import torch

    dim = bench.roles.head_dim
    at_zero = table[0]
    diagonal = at_zero.diagonal()
    if float((at_zero - torch.diag(diagonal)).nan_to_num().abs().max()) > 1e-5 * float(diagonal.max()):
        raise bench.unresolved("score of a query and a key", "at distance 0 different dimensions meet")
    off = table.nan_to_num().abs().amax(dim=0)
    off.fill_diagonal_(0)
    rotating = [i for i in range(dim) if float(off[i].max()) > 2e-5 * float(diagonal.max())]
    probe = f"unit queries and keys at every distance up to {LENGTH - 1}"
    if not rotating:
        scale = float(diagonal[0])
        error = float((table - torch.diag(diagonal)).nan_to_num().abs().max()) / scale
        if error > 1e-5 or float((diagonal - scale).abs().max()) > 1e-5 * scale:
            raise bench.unresolved("score of a query and a key", "it is no inner product, and nothing rotates")
        evidence.append(Evidence("rotary positions", "none", error, probe=probe))
        return None, (), scale, 1.0
    # The partner of dimension 0 tells how many rotate, also where the slowest turn too little to be seen.
    partner = int(off[0].argmax())
    count = 2 * partner if partner > 1 else rotating[-1] + 1
    if 0 not in rotating or count > bench.roles.may_turn or count % 2 or any(i >= count for i in rotating):
        raise bench.unresolved("rotary positions", f"dimensions {rotating} of {dim} rotate, 0 with {partner}")
    half = count // 2
    still = list(range(count, dim))
    scale = float(diagonal[still].mean()) if still else float(diagonal[0])
    pairs = {
        "half": [(i, i + half) for i in range(half)],
        "interleaved": [(2 * i, 2 * i + 1) for i in range(half)],
    }
    squared = float(diagonal[:count].mean()) / scale if still else 1.0
    errors, found = {}, {}
    for layout, members in pairs.items():
        frequencies = [abs(_frequency(table, i, j)) for i, j in members]
        candidate = _rotated(members, frequencies, dim, scale, squared)
        errors[layout] = float((candidate - table).nan_to_num().abs().max()) / scale
        found[layout] = tuple(frequencies)
        turned = _rotated(members, [-f for f in frequencies], dim, scale, squared)
        errors[f"{layout} backwards"] = float((turned - table).nan_to_num().abs().max()) / scale
        found[f"{layout} backwards"] = tuple(-f for f in frequencies)
    if count == 2:  # a single pair: the layouts are the same
        errors = {k: e for k, e in errors.items() if k.startswith("half")}
    chosen = choose("layout of rotary positions", errors, probe, module=bench.module, accept=2e-5)
    evidence.append(chosen)
    return str(chosen.chosen).removesuffix(" backwards"), found[chosen.chosen], scale, math.sqrt(squared)


def _frequency(table: Any, i: int, j: int) -> float:
    """The angle a position of the pair (i, j): from neighbours first, then from ever longer distances."""
    frequency = 0.0
    for distance in range(1, LENGTH):
        cosine, sine = float(table[distance, i, i]), float(table[distance, i, j])
        if math.isnan(cosine) or math.isnan(sine):
            continue
        angle = math.atan2(sine, cosine)
        turns = round((frequency * distance - angle) / (2 * math.pi)) if frequency else 0
        frequency = (angle + 2 * math.pi * turns) / distance
    return frequency


def _rotated(pairs: list[tuple[int, int]], frequencies: list[float], dim: int, scale: float, squared: float) -> Any:
    """The scores of unit vectors that rotary positions give: [distance, dim of query, dim of key]."""
    import torch

    distance = torch.arange(LENGTH, dtype=torch.float64)
    table = torch.zeros(LENGTH, dim, dim, dtype=torch.float64)
    table[:, range(dim), range(dim)] = scale
    for (i, j), frequency in zip(pairs, frequencies, strict=True):
        cosine, sine = (scale * squared * f(frequency * distance) for f in (torch.cos, torch.sin))
        table[:, i, i] = table[:, j, j] = cosine
        table[:, i, j] = sine
        table[:, j, i] = -sine
    return table


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
