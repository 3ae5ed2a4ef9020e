"""How do queries and keys turn with their positions: not at all, or which dimensions with which, and how fast?"""

import math
from typing import Any

from levgen.survey.evidence import Evidence, choose, relative
from levgen.survey.observe.anatomy import Anatomy
from levgen.survey.observe.bench import Bench
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.questions.dataflow import source_of_norm

# Of as many keys, most are of dimensions that don't meet a query's.
_KEYS = 5


def scores_of_units(bench: Bench, bias: Any, scale: float, cap: float | None) -> Any:
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


def turned_before_norms(anatomy: Anatomy, bench: Bench) -> Any:
    """What turns queries and keys between projection and norm, as `scores_of_units`; None where nothing does."""
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


def find_rotation(
    bench: Bench, table: Any, evidence: list[Evidence]
) -> tuple[str | None, tuple[float, ...], float, float]:
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
