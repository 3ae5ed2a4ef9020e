"""Does something choose which keys a query sees, and how? Or is a layer told what was chosen in one before it?

A module whose output is whole numbers, for each position some positions, is a chooser. All else about attention is
asked with all keys chosen. Then the chooser is given random queries, keys and weights, and every equation is tried.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from levgen.reference.record import Call, Probe, record
from levgen.survey.evidence import ACCEPT, Evidence, UnresolvedError, choose, relative
from levgen.survey.observe.anatomy import Anatomy
from levgen.survey.observe.bench import Bench
from levgen.survey.observe.chain import parts_with_parameters
from levgen.survey.observe.leaves import Affine, NormLeaf, identify
from levgen.survey.observe.shapes import LENGTH, canonical, native, random_like
from levgen.survey.questions.channels import Roles
from levgen.survey.questions.dataflow import Dataflow
from levgen.survey.questions.scores import Scores, attended, turn

INDEXER = "which keys are chosen"
# Scores are taken in fp32: keys that differ by less, relatively, may come out in either order.
_NEAR = 1e-5
_DRAWS = (31, 32, 33)
_LAYOUTS = ("half", "interleaved")
_KNOWN = "relu, weighed"
# Of tensors that are the same one.
_EQUAL = 1e-9


@dataclass(frozen=True)
class Indexer:
    """A module `name` that chooses keys by a small attention of its own; its maps and its norm by their names in it."""

    name: str
    q: str
    k: str
    k_norm: str
    weights: str
    heads: int
    head_dim: int
    count: int
    layout: str
    eps: float
    evidence: tuple[Evidence, ...]


def find_indexer(anatomy: Anatomy, flow: Dataflow, roles: Roles, scores: Scores, factor: Any = 1.0) -> Indexer | None:
    """None where nothing chooses. Raises UnresolvedError where something does as no known indexer.

    `factor`: what a gate that is open in `anatomy` multiplied attention by in what was recorded.
    """
    if anatomy.chooser is None:
        return None
    call = anatomy.chooser
    made = {one.name: one for one in record(lambda: call.module(*call.args, **call.kwargs), _inside(call.module))}
    holding = parts_with_parameters(call.module, set(made))
    leaves = {name: identify(made[name].module, made[name].input) for name in holding}
    q, k, k_norm, weights = _parts(anatomy, flow, roles, leaves, made, call)
    norm = leaves[k_norm]
    assert isinstance(norm, NormLeaf)
    heads, dim = canonical(made[weights].output).shape[1], norm.width
    if canonical(made[q].output).shape[1] != heads * dim or scores.layout is None or 2 * len(scores.frequencies) > dim:
        shapes = {name: list(made[name].output.shape) for name in (q, k, weights)}
        raise UnresolvedError(INDEXER, f"{shapes}: not {heads} heads of {dim}, a part of which rotates", call.module)
    probe = Probe(call, {name: made[name].module for name in (q, k_norm, weights)})
    count = probe.output.shape[-1]
    if count >= LENGTH:
        raise UnresolvedError(INDEXER, f"all of {LENGTH} keys are chosen, so that nothing shows how", call.module)
    found = _equation(probe, (q, k_norm, weights), heads, dim, scores)
    layout = next((layout for layout in _LAYOUTS if found.chosen == f"{layout}, {_KNOWN}"), None)
    if layout is None:
        raise UnresolvedError(INDEXER, f"by {found.chosen}, where {_KNOWN} is known", call.module)
    seen = _seen(anatomy, roles, scores, probe.output, factor)
    return Indexer(call.name, q, k, k_norm, weights, heads, dim, count, layout, norm.eps, (found, seen))


def find_shared_choice(
    anatomy: Anatomy, roles: Roles, scores: Scores, before: Any, factor: Any = 1.0
) -> Evidence | None:
    """What shows that a layer sees the keys that were chosen in an earlier one; None where it is given no choice.

    `before`: what the last layer with an indexer chose, [1, T, count]; None where there is none. `factor`: as in
    `find_indexer`. Raises UnresolvedError where a layer is given another choice, or does something else with it.
    """
    import torch

    if anatomy.choice is None:
        return None
    _, given = anatomy.choice
    if before is None or not torch.equal(given, before):
        raise UnresolvedError(INDEXER, "the layer is given a choice that none before it made", anatomy.module)
    return replace(_seen(anatomy, roles, scores, given, factor), chosen="those that were chosen before the layer")


def _inside(module: Any) -> dict[str, Any]:
    return {name: child for name, child in module.named_modules() if name}


def _parts(
    anatomy: Anatomy,
    flow: Dataflow,
    roles: Roles,
    leaves: Mapping[str, Affine | NormLeaf],
    made: Mapping[str, Call],
    call: Call,
) -> tuple[str, str, str, str]:
    """The map to queries, that to keys, the norm of keys, and the map to weights: told by what each reads."""
    low = None if roles.latent is None else roles.latent.queries
    stream = anatomy.given[flow.attention_inputs[0]]

    def reads(tensor: Any) -> list[str]:
        given = {name: canonical(made[name].input) for name in leaves}
        return [n for n, x in given.items() if x.shape == tensor.shape and relative(x, tensor) <= _EQUAL]

    maps = {name for name, leaf in leaves.items() if isinstance(leaf, Affine) and leaf.bias is None}
    norms = [name for name, leaf in leaves.items() if isinstance(leaf, NormLeaf)]
    of_latent = set() if low is None else maps & set(reads(anatomy.gave[low.norm]))
    of_stream = maps & set(reads(stream))
    keys = {name for name in of_stream if norms and norms[0] in reads(canonical(made[name].output))}
    whole = len(leaves) == 4 and len(norms) == len(of_latent) == len(keys) == 1 and len(of_stream) == 2
    transposed = [name for name in maps if (leaf := leaves[name]) and isinstance(leaf, Affine) and leaf.transposed]
    norm = leaves[norms[0]] if norms else None
    if not whole or transposed or not isinstance(norm, NormLeaf) or norm.kind != "layer" or not _is_full(norm):
        said = {name: type(leaf).__name__ for name, leaf in leaves.items()}
        observed = f"{said}: not queries of low rank, keys with a layer norm, and weights, each with a map of its own"
        raise UnresolvedError(INDEXER, observed, call.module)
    (weights,) = of_stream - keys
    return of_latent.pop(), keys.pop(), norms[0], weights


def _is_full(norm: NormLeaf) -> bool:
    return norm.weight == "weight" and norm.bias == "bias" and not norm.offset


def _equation(probe: Probe, names: tuple[str, str, str], heads: int, dim: int, scores: Scores) -> Evidence:
    """What is added up over heads to choose by, and which dimensions turn, against variants of both."""
    import torch

    errors: dict[str, float] = {}
    functions = _functions()
    for seed in _DRAWS:
        drawn = [random_like(canonical(probe.calls[n].output), seed=seed + 10 * i) for i, n in enumerate(names)]
        shaped = {name: native(x, probe.calls[name].output) for name, x in zip(names, drawn, strict=True)}
        chosen = _as_mask(probe.run(shaped))
        q, k, weights = drawn[0].reshape(LENGTH, heads, dim), drawn[1][:, None], drawn[2]
        for (layout, turned), (name, function) in itertools.product(_turned(q, k, scores).items(), functions.items()):
            products = torch.einsum("thd,sd->ths", turned[0], turned[1][:, 0])
            for signs, w in (("weighed", weights), ("added up", torch.ones_like(weights))):
                made = torch.einsum("th,ths->ts", w, function(products))
                form = f"{layout}, {name}, {signs}"
                errors[form] = max(errors.get(form, 0.0), _missed(made, chosen))
    probe_said = f"{len(_DRAWS)} draws of queries, keys and weights: the share of the keys that were not chosen"
    return choose(INDEXER, errors, probe_said, module=probe.calls[names[0]].module, accept=0.0)


def _functions() -> dict[str, Callable[[Any], Any]]:
    import torch

    return {"relu": torch.relu, "linear": lambda x: x, "absolute": torch.abs, "squared": torch.square}


def _turned(q: Any, k: Any, scores: Scores) -> dict[str, tuple[Any, Any]]:
    """Layout -> queries and keys [T, heads, dim] of which the first dimensions turn so; the last, or none."""
    size, dim = 2 * len(scores.frequencies), q.shape[-1]
    found = {"unturned": (q, k)}
    for layout in _LAYOUTS:
        form = replace(scores, layout=layout)
        found[layout] = (turn(q, form), turn(k, form))
        if size < dim:
            last = [turn(x.roll(size, -1), form).roll(-size, -1) for x in (q, k)]
            found[f"{layout} of the last"] = (last[0], last[1])
    return found


def _missed(made: Any, chosen: Any) -> float:
    """The share of the keys with the largest scores `made` [T, T] that are not in `chosen`, of queries that see more.

    Queries for whom the last of them and the next are nearly equal are left out. Infinite where too few remain, or
    where a key that a query doesn't see makes one that it does see go unseen.
    """
    import torch

    visible = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    count = int(chosen.sum(-1).max())
    if not bool((chosen | ~visible)[:count].all()):
        return float("inf")
    ranked = made.masked_fill(~visible, -torch.inf)[count:]
    best = ranked.topk(count + 1, dim=-1)
    clear = best.values[:, -2] - best.values[:, -1] > _NEAR * ranked.masked_fill(~visible[count:], 0).abs().amax(-1)
    if int(clear.sum()) < len(clear) // 2:
        return float("inf")
    hit = chosen[count:].gather(-1, best.indices[:, :count])[clear]
    return 1.0 - float(hit.double().mean())


def _as_mask(chosen: Any) -> Any:
    """[T, T] bool, of a chooser's output [1, T, count]."""
    import torch

    positions = chosen.reshape(LENGTH, -1).long()
    return torch.zeros(LENGTH, LENGTH, dtype=torch.bool).scatter(-1, positions, True)


def _seen(anatomy: Anatomy, roles: Roles, scores: Scores, chosen: Any, factor: Any) -> Evidence:
    """Attention as it was recorded, against that of the chosen keys alone. Raises UnresolvedError where they differ."""
    bench = Bench(anatomy, roles)
    bench.sinks, bench.clip = scores.sinks, scores.clip
    if scores.query_scaling is not None:
        raise UnresolvedError(INDEXER, "queries are scaled by their position, too", bench.module)
    held = {leaf: anatomy.gave[leaf] for leaf in roles.core.sources}
    recorded = anatomy.given[roles.core.target].double()
    every = relative(factor * attended(scores, bench, held, None), recorded)
    bench.visible = bench.visible & _as_mask(chosen)
    error = relative(factor * attended(scores, bench, held, None), recorded)
    question = "what is seen of the keys"
    if not error <= ACCEPT:
        raise UnresolvedError(question, f"attention of the chosen ones alone is off by {error:.1e}", bench.module)
    return Evidence(question, "the chosen ones", error, "all of them", every, "what was recorded in the model")
