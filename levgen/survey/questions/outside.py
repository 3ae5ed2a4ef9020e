"""What lies before and after the layers: tables, scales and norms of the embeddings; the final norm and the head."""

import math
from dataclasses import dataclass
from typing import Any

from levgen.reference.record import Call, Probe, record
from levgen.survey.evidence import Evidence, UnresolvedError, choose, relative
from levgen.survey.observe.chain import Chain, parts_with_parameters
from levgen.survey.observe.leaves import Affine, NormLeaf, Table, identify, identify_table
from levgen.survey.observe.shapes import LENGTH, canonical, native
from levgen.survey.observe.sums import Sum, explain
from levgen.survey.questions.head_transform import HeadTransform, find_head_transform


@dataclass(frozen=True)
class Embeddings:
    """`scale` multiplies the embedding. `positions`: none, learned, sinusoidal; `offset`: rows before position 0."""

    token: str
    scale: float
    positions: str
    position: str | None
    offset: int
    rows: int | None  # of a learned table
    table: str | None  # which sinusoidal one
    norm: str | None
    norm_leaf: NormLeaf | None
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Head:
    """From the last layer to the logits."""

    norm: str | None
    norm_leaf: NormLeaf | None
    head: str
    bias: bool
    scale: float
    softcap: float | None
    tied: bool
    evidence: tuple[Evidence, ...]
    transform: HeadTransform | None = None


@dataclass(frozen=True)
class Outside:
    """The modules with parameters outside the layers, in order, recorded in a forward of the whole model."""

    model: Any
    chain: Chain
    ids: Any
    probe: Probe
    before: tuple[Call, ...]
    after: tuple[Call, ...]


def find_outside(model: Any, chain: Chain, ids: Any) -> Outside:
    """Records what the model calls outside its layers. Raises UnresolvedError for parameters of nothing called."""
    inside = f"{chain.name}."
    every = {
        name: m for name, m in model.named_modules() if name and not name.startswith(inside) and name != chain.name
    }
    # A module that holds the whole stack is no part of what lies outside it.
    every = {name: m for name, m in every.items() if not inside.startswith(f"{name}.")}
    first, last = chain.layers[0], chain.layers[-1]
    watched = {**every, "<first>": first.module, "<last>": last.module}
    calls = record(lambda: model(ids), watched)
    names = [call.name for call in calls]
    leaves = parts_with_parameters(model, {name for name in names if not name.startswith("<")})
    unheld = [
        name
        for name, _ in model.named_parameters()
        if not name.startswith(inside) and not any(name.startswith(f"{leaf}.") for leaf in leaves)
    ]
    if unheld:
        raise UnresolvedError("what lies outside the layers", f"parameters outside called modules: {unheld}", model)
    twice = [name for name in leaves if names.count(name) != 1]
    if twice:
        raise UnresolvedError("what lies outside the layers", f"called more than once: {twice}", leaves[twice[0]])
    at_first, at_last = names.index("<first>"), names.index("<last>")
    kept = [(i, call) for i, call in enumerate(calls) if call.name in leaves or _is_bare_norm(call, leaves)]
    # Between the first and the last layer nothing else may be called with parameters.
    between = [call.name for i, call in kept if at_first < i < at_last]
    if between:
        raise UnresolvedError(
            "what lies outside the layers", f"called between layers: {between}", leaves.get(between[0])
        )
    probe = Probe(Call("", model, ids, None, (ids,), {}), {call.name: call.module for _, call in kept})
    return Outside(
        model,
        chain,
        ids,
        probe,
        tuple(call for i, call in kept if i < at_first),
        tuple(call for i, call in kept if i > at_last),
    )


def _is_bare_norm(call: Call, leaves: dict[str, Any]) -> bool:
    """Whether a module without parameters of its own normalises."""
    x, y = call.input, call.output
    if call.name.startswith("<") or any(
        call.name.startswith(f"{leaf}.") or leaf.startswith(f"{call.name}.") for leaf in leaves
    ):
        return False
    if x is None or y is None or x.shape != y.shape or not x.is_floating_point() or bool((x == y).all()):
        return False
    try:
        return isinstance(identify(call.module, x), NormLeaf)
    except UnresolvedError:
        return False


def find_embeddings(outside: Outside) -> Embeddings:
    """How token ids become the first layer's input. Raises UnresolvedError where they don't in a known way."""
    question = "embeddings"
    target = canonical(outside.chain.layers[0].input)
    tables: dict[str, Table] = {}
    norms: dict[str, tuple[NormLeaf, Call]] = {}
    for call in outside.before:
        try:
            tables[call.name] = identify_table(call.module, call.output)
            continue
        except UnresolvedError:
            if call.input is None or not call.input.is_floating_point():
                raise
        leaf = identify(call.module, call.input)
        if not isinstance(leaf, NormLeaf):
            raise UnresolvedError(question, f"{call.name} is a linear map between embeddings and layers", call.module)
        norms[call.name] = (leaf, call)
    if len(norms) > 1:
        raise UnresolvedError(question, f"{len(norms)} norms: {sorted(norms)}")
    norm_name, norm_leaf, evidence = None, None, []
    if norms:
        ((norm_name, (norm_leaf, call)),) = norms.items()
        if explain(target, {"norm": canonical(call.output)}) is None:
            raise UnresolvedError(question, f"the first layer is not given what {norm_name} gives", call.module)
        target = canonical(call.input)
        evidence.append(norm_leaf.evidence)
    outputs = {call.name: canonical(call.output) for call in outside.before if call.name in tables}
    ids = outside.ids[0].tolist()
    tokens = [name for name, table in tables.items() if list(table.rows) == ids]
    positions = [name for name in tables if name not in tokens]
    if len(tokens) != 1 or len(positions) > 1:
        raise UnresolvedError(question, f"tables of tokens: {tokens}, others: {positions}", outside.model)
    token = tokens[0]
    kind, offset, rows, sinusoid = ("learned" if positions else "none"), 0, None, None
    found: Sum | None = explain(target, outputs)
    if found is None and not positions:
        for name, at, table in _sinusoids(target.shape[1]):
            found = explain(target, {token: outputs[token], name: table})
            if found is not None and abs(found.terms.get(name, 0.0) - 1) < 1e-6:
                kind, offset, sinusoid = "sinusoidal", at, name
                break
            found = None
    if found is None or token not in found.terms:
        raise UnresolvedError(question, "the first layer's input is no sum of what the tables gave", outside.model)
    scale = found.terms[token] * tables[token].scale
    if positions:
        table_of = tables[positions[0]]
        offset = table_of.rows[0]
        if list(table_of.rows) != list(range(offset, offset + LENGTH)):
            raise UnresolvedError(
                question, f"rows {table_of.rows[:4]} of {positions[0]} for positions 0, 1, 2, 3", outside.model
            )
        if abs(found.terms.get(positions[0], 0.0) * table_of.scale - 1) > 1e-6:
            raise UnresolvedError(
                question, f"positions are scaled by {found.terms.get(positions[0], 0.0):g}", outside.model
            )
        module = dict(outside.model.named_modules())[positions[0]]
        rows = int(dict(module.named_parameters())[table_of.weight].shape[0])
    said = " + ".join(f"{c:.6g} * {name}" for name, c in found.terms.items())
    evidence.append(
        Evidence(question, said, found.error, f"without {found.least}", found.without, "the first layer's input")
    )
    return Embeddings(
        token,
        scale,
        kind,
        positions[0] if positions else None,
        offset,
        rows,
        sinusoid,
        norm_name,
        norm_leaf,
        tuple(evidence),
    )


def _sinusoids(width: int) -> list[tuple[str, int, Any]]:
    """(name, offset, table [T, width]) of fixed sinusoidal positions: https://arxiv.org/abs/1706.03762, in halves.

    `tensor2tensor` spaces frequencies so that the last one is 1/10000 exactly.
    """
    import torch

    half = width // 2
    exponents = {"halves": torch.arange(half) / half, "tensor2tensor": torch.arange(half) / max(half - 1, 1)}
    found = []
    for name, exponent in exponents.items():
        for offset in range(3):
            angles = torch.arange(offset, offset + LENGTH).double()[:, None] * torch.exp(
                -math.log(10000.0) * exponent.double()
            )
            table = torch.cat([angles.sin(), angles.cos()], dim=1)
            found.append((name, offset, torch.nn.functional.pad(table, (0, width - 2 * half))))
    return found


def find_head(outside: Outside, embeddings: Embeddings) -> Head:
    """How the last layer's output becomes logits. Raises UnresolvedError where it does in no known way."""
    question = "head"
    hidden = canonical(outside.chain.layers[-1].output)
    if not any(isinstance(identify(call.module, call.input), Affine) for call in outside.after):
        return _head_without_module(outside, embeddings, hidden)
    names = [call.name for call in outside.after]
    leaves = {call.name: identify(call.module, call.input) for call in outside.after}
    heads = [name for name, leaf in leaves.items() if isinstance(leaf, Affine)]
    head, first = heads[-1], names.index(heads[0])
    # Norms come before the first linear map, which is the head unless there is a transform before it.
    before, between = names[:first], names[first : names.index(head) + 1]
    if len(heads) > 2 or len(before) > 1 or between != names[first:]:
        raise UnresolvedError(question, f"between the last layer and the logits: {names}", outside.model)
    calls = {call.name: call for call in outside.after}
    norm = before[0] if before else None
    affine, norm_leaf = leaves[head], (leaves[norm] if norm else None)
    assert isinstance(affine, Affine)
    evidence: list[Evidence] = []
    if norm is not None:
        if explain(canonical(calls[norm].input), {"hidden": hidden}) is None:
            raise UnresolvedError(question, f"{norm} is not given what the last layer gives", calls[norm].module)
        assert isinstance(norm_leaf, NormLeaf)
        evidence.append(norm_leaf.evidence)
        hidden = canonical(calls[norm].output)
    transform = None
    if len(heads) == 2:
        transform = find_head_transform(outside.probe, calls, leaves, tuple(between), hidden)
        evidence += transform.evidence
        hidden = canonical(calls[transform.norm].output if transform.norm else calls[head].input)
    given = explain(canonical(calls[head].input), {"hidden": hidden})
    if given is None:
        raise UnresolvedError(question, f"{head} is not given what comes before it", calls[head].module)
    factor = given.terms["hidden"]
    scale, cap = _scale_and_cap(outside, head, calls[head], evidence)
    if affine.bias is not None and abs(factor - 1) > 1e-6:
        raise UnresolvedError(
            question, f"hidden states are scaled by {factor:g} before a head with a bias", outside.model
        )
    if affine.transposed:
        raise UnresolvedError(question, "the output matrix is stored {embed, vocab}", calls[head].module)
    parameters = dict(calls[head].module.named_parameters())
    token = dict(dict(outside.model.named_modules())[embeddings.token].named_parameters())
    tied = any(parameters[affine.weight] is parameter for parameter in token.values())
    evidence.append(Evidence("head", f"{head}{' tied' if tied else ''}, bias {affine.bias is not None}", given.error))
    return Head(
        norm,
        norm_leaf if isinstance(norm_leaf, NormLeaf) else None,
        head,
        affine.bias is not None,
        scale * factor,
        cap,
        tied,
        tuple(evidence),
        transform,
    )


def _head_without_module(outside: Outside, embeddings: Embeddings, hidden: Any) -> Head:
    """Logits that are a product with the embedding's matrix, which no module of the head's own makes."""
    import torch

    question = "head"
    names = [call.name for call in outside.after]
    if len(outside.after) != 1:
        raise UnresolvedError(question, f"between the last layer and the logits: {names}", outside.model)
    (call,) = outside.after
    norm = identify(call.module, call.input)
    if not isinstance(norm, NormLeaf) or explain(canonical(call.input), {"hidden": hidden}) is None:
        raise UnresolvedError(question, f"{call.name} is no norm of what the last layer gives", call.module)
    table = dict(outside.model.named_modules())[embeddings.token]
    (matrix,) = (parameter.detach().double() for parameter in table.parameters())
    # What the norm gives is put along the row of each token, at amplitudes that no soft cap lets pass.
    given = canonical(call.output)
    amplitudes = torch.linspace(-200, 200, LENGTH, dtype=torch.float64)
    rows = matrix[3 : 3 + LENGTH]
    along = amplitudes[:, None] * rows / rows.pow(2).sum(-1, keepdim=True)
    logits = canonical(outside.probe.run({call.name: native(along, call.output)}))
    recorded = canonical(outside.probe.run({call.name: native(given, call.output)}))
    errors = {"the embedding's matrix": max(relative(along @ matrix.T, logits), relative(given @ matrix.T, recorded))}
    probe = f"the output of {call.name}, and rows of the embedding at ±200 in its place"
    found = choose(question, errors, probe, module=outside.model, accept=1e-6)
    return Head(call.name, norm, "lm_head", False, 1.0, None, True, (norm.evidence, found))


def _scale_and_cap(outside: Outside, head: str, call: Call, evidence: list[Evidence]) -> tuple[float, float | None]:
    """What is done to the head's output: a grid in its place, up to amplitudes that no soft cap lets pass."""
    import torch

    recorded = canonical(call.output)
    grid = torch.linspace(-200, 200, recorded.numel(), dtype=torch.float64).reshape(recorded.shape)
    grid[0] = torch.linspace(-0.5, 0.5, recorded.shape[1])
    logits = canonical(outside.probe.run({head: native(grid, call.output)}))
    probe = "a grid over ±200 in place of the head's output"
    if logits is None or logits.shape != grid.shape:
        raise UnresolvedError("logits", "they have another shape than the head's output", outside.model)
    small = grid[0].abs() > 0.1
    slope = float((logits[0][small] / grid[0][small]).median())
    errors = {"linear": float((logits - slope * grid).abs().max() / logits.abs().max())}
    cap = float(logits.abs().max())
    if errors["linear"] > 1e-6:
        # cap * tanh(slope * x / cap): the largest output is short of the cap by what tanh lacks there.
        for _ in range(200):
            cap = float(logits.abs().max()) / math.tanh(slope * 200 / cap)
            slope = float(cap * torch.atanh(logits[0][small] / cap).div(grid[0][small]).median())
        errors["soft cap"] = float((cap * torch.tanh(slope * grid / cap) - logits).abs().max() / logits.abs().max())
    found = choose("scale and cap of logits", errors, probe, module=outside.model, accept=1e-6)
    evidence.append(found)
    return float(f"{slope:.9g}"), (float(f"{cap:.6g}") if found.chosen == "soft cap" else None)
