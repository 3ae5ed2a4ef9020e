"""What feeds what in a layer: pre-norm, post-norm, sandwich, output norms, side by side."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from levgen.survey.evidence import Evidence, UnresolvedError
from levgen.survey.mixture.whole import Mixture
from levgen.survey.observe.anatomy import INPUT, OUTPUT, Anatomy, Core
from levgen.survey.observe.columns import Columns, Joined
from levgen.survey.observe.leaves import Affine, NormLeaf
from levgen.survey.observe.sums import Sum

# What goes into each norm, into attention, into the MLP, and out of the layer. `x` is the layer's input; "attention"
# and "mlp" are what the blocks put out, and the letter S before a term is the factor on what a block adds. Where sums
# are averaged each is also multiplied, so that it is that of all terms from the embedding on over the root of their
# number.
_PATTERNS: dict[tuple[str, str], dict[str, str]] = {
    ("pre", "no"): {
        "attention": "attention_norm",
        "attention_norm": "x",
        "mlp": "mlp_norm",
        "mlp_norm": "x + S attention",
        OUTPUT: "x + S attention + S mlp",
    },
    ("post", "no"): {
        "attention": "x",
        "attention_norm": "x + S attention",
        "mlp": "attention_norm",
        "mlp_norm": "attention_norm + S mlp",
        OUTPUT: "mlp_norm",
    },
    ("sandwich", "no"): {
        "attention": "attention_norm",
        "attention_norm": "x",
        "attention_output_norm": "attention",
        "mlp": "mlp_norm",
        "mlp_norm": "x + S attention_output_norm",
        "mlp_output_norm": "mlp",
        OUTPUT: "x + S attention_output_norm + S mlp_output_norm",
    },
    ("output", "no"): {
        "attention": "x",
        "attention_output_norm": "attention",
        "mlp": "x + S attention_output_norm",
        "mlp_output_norm": "mlp",
        OUTPUT: "x + S attention_output_norm + S mlp_output_norm",
    },
    ("pre", "shared"): {
        "attention": "attention_norm",
        "attention_norm": "x",
        "mlp": "attention_norm",
        OUTPUT: "x + S attention + S mlp",
    },
    ("pre", "separate"): {
        "attention": "attention_norm",
        "attention_norm": "x",
        "mlp": "mlp_norm",
        "mlp_norm": "x",
        OUTPUT: "x + S attention + S mlp",
    },
}


# Of layers that are what mixes positions, and nothing else.
_ALONE: dict[tuple[str, str], dict[str, str]] = {
    ("pre", "no"): {"attention": "attention_norm", "attention_norm": "x", OUTPUT: "x + S attention"},
    ("none", "no"): {"attention": "x", OUTPUT: "x + S attention"},  # of what stands for layers that are unknown
}


@dataclass(frozen=True)
class LowRank:
    """A map `up` from a norm of `columns` of what a map `down` gives; `joined`: and from these as they are."""

    up: str
    norm: str
    down: str
    columns: tuple[int, ...]
    joined: bool = False


@dataclass(frozen=True)
class Beside:
    """A channel block that reads what a mixture of experts does, and that is added wherever what that gives is."""

    core: Core
    inputs: tuple[str, ...]  # leaves that read its input
    output: str  # the leaf that gives what it does


@dataclass(frozen=True)
class Dataflow:
    """How a layer is wired: answers of the schema, and which leaf plays which role."""

    norms: str
    parallel: str
    residual_scale: float
    terms: int | None  # of how many terms the layer's input is made up, where sums are averaged
    norm_roles: dict[str, str]  # role -> leaf
    attention_core: Core
    mlp_core: Core | None  # None where a mixture of experts stands in its place, the one `mlp_output`, or nothing
    attention_inputs: tuple[str, ...]  # leaves that read the attention's input
    mlp_inputs: tuple[str, ...]
    attention_output: str  # the projection back into the stream
    mlp_output: str | None  # None where a layer has no channel block
    beside: "Beside | None"  # an MLP beside a mixture of experts
    missing: str | None  # the role of a norm that other layers of this wiring have
    added_bias: str | None  # a parameter that is added to what the attention puts out
    evidence: Evidence


def find_dataflow(anatomy: Anatomy) -> Dataflow:
    """The wiring of a layer. Raises UnresolvedError where it is none of the patterns."""
    question = "what feeds what in a layer"
    mixing, pointwise = anatomy.cores(mixing=True), anatomy.cores(mixing=False)
    mixtures = [name for name, leaf in anatomy.leaves.items() if isinstance(leaf, Mixture)]
    if len(mixing) != 1 or len(pointwise) > 1 or len(mixtures) > 1:
        observed = (
            f"{len(mixing)} places where positions mix, {len(pointwise)} where channels do (expected 1, at most 1)"
        )
        targets = [*(core.target for core in (*mixing, *pointwise)), *mixtures]
        module = anatomy.probe.calls[targets[0]].module if targets else None
        raise UnresolvedError(question, f"{observed}, before {targets}", module)
    beside = _beside(anatomy, pointwise[0]) if mixtures and pointwise else None
    attention, mlp = mixing[0], pointwise[0] if pointwise and beside is None else None
    low_ranks = [low for leaf in attention.sources if (low := low_rank(anatomy, leaf)) is not None]
    attention_inputs = tuple(_roots(anatomy, attention, low_ranks))
    attention_output = _after_norm(anatomy, attention)
    mlp_inputs: tuple[str, ...] = ()
    mlp_output: str | None = None
    if mlp is not None:
        mlp_inputs, mlp_output = tuple(_roots(anatomy, mlp, [])), _after_norm(anatomy, mlp)
    elif mixtures:
        mlp_inputs, mlp_output = (mixtures[0],), mixtures[0]
    inner = {*attention.sources, *attention_inputs, attention.target, attention_output, *mlp_inputs}
    inner |= set() if mlp_output is None else {mlp_output}
    inner |= {low.norm for low in low_ranks}
    inner |= {*mlp.sources, mlp.target} if mlp is not None else set()
    inner |= {*beside.core.sources, *beside.inputs, beside.core.target, beside.output} if beside is not None else set()
    outer = [name for name, leaf in anatomy.leaves.items() if isinstance(leaf, NormLeaf) and name not in inner]
    left = [name for name in anatomy.leaves if name not in inner and name not in outer]
    if left:
        raise UnresolvedError(question, f"modules without a role: {left}", anatomy.probe.calls[left[0]].module)
    names = {INPUT: "x", attention_output: "attention", **({} if mlp_output is None else {mlp_output: "mlp"})}
    wiring: dict[str, dict[str, float]] = {}
    reading = (*mlp_inputs, *(() if beside is None else beside.inputs))
    for key, leaves in (("attention", attention_inputs), *((("mlp", reading),) if reading else ())):
        sums = [_sum(anatomy, leaf) for leaf in leaves]
        if any(total != sums[0] for total in sums):
            raise UnresolvedError(question, f"{leaves} read different tensors", anatomy.probe.calls[leaves[0]].module)
        wiring[key] = sums[0]
    for name in (*outer, OUTPUT):
        wiring[name] = _sum(anatomy, name)
    wiring, added_bias = _without_added_bias(anatomy, wiring, attention_output)
    if beside is not None and mlp_output is not None:
        wiring = _without_beside(wiring, beside.output, mlp_output)
    for norms, parallel, missing, pattern in _patterns(alone=mlp_output is None):
        roles = [role for role in pattern if role.endswith("_norm")]
        if len(roles) != len(outer):
            continue
        for order in itertools.permutations(outer):
            assigned = dict(zip(order, roles, strict=True))
            found = _matches(wiring, pattern, {**names, **assigned})
            if found is not None:
                scale, terms = found
                chosen = f"norms={norms}, parallel={parallel}" + (f", residual_scale={scale:g}" if scale != 1 else "")
                chosen += f", averaged over {terms} terms and one for each block" if terms is not None else ""
                chosen += f", {beside.output} beside {mlp_output}" if beside is not None else ""
                chosen += f", without {missing}" if missing else ""
                chosen += f", plus {added_bias}" if added_bias else ""
                return Dataflow(
                    norms,
                    parallel,
                    scale,
                    terms,
                    {role: leaf for leaf, role in assigned.items()},
                    attention,
                    mlp,
                    attention_inputs,
                    mlp_inputs,
                    attention_output,
                    mlp_output,
                    beside,
                    missing,
                    added_bias,
                    Evidence(question, chosen, probe="the solved sums, matched against every pattern"),
                )
    shown = "; ".join(
        f"{name} <- {' + '.join(f'{c:g} {names.get(t, t)}' for t, c in sums.items())}" for name, sums in wiring.items()
    )
    raise UnresolvedError(question, shown)


def _patterns(*, alone: bool) -> Iterator[tuple[str, str, str | None, dict[str, str]]]:
    """(norms, parallel, the role of a norm that is missing, what goes into what), the whole ones first.

    `alone`: of layers without a channel block.
    """
    if alone:
        yield from ((norms, parallel, None, pattern) for (norms, parallel), pattern in _ALONE.items())
        return
    for (norms, parallel), pattern in _PATTERNS.items():
        yield norms, parallel, None, pattern
    for (norms, parallel), pattern in _PATTERNS.items():
        for role in ("attention_norm", "mlp_norm"):
            if norms in ("pre", "sandwich") and role in pattern:
                made = pattern[role]
                yield norms, parallel, role, {n: made if m == role else m for n, m in pattern.items() if n != role}


def _without_added_bias(
    anatomy: Anatomy, wiring: dict[str, dict[str, float]], attention: str
) -> tuple[dict[str, dict[str, float]], str | None]:
    """`wiring` without a parameter that is added wherever what `attention` puts out is, in proportion; its name."""
    found = sorted({term for sums in wiring.values() for term in sums if term in anatomy.loose})
    if not found:
        return wiring, None
    bias, *more = found
    if more or any(abs(sums.get(bias, 0.0) - sums.get(attention, 0.0)) > 1e-6 for sums in wiring.values()):
        raise UnresolvedError("what feeds what in a layer", f"{found} are added to more or less than the attention")
    return {name: {t: c for t, c in sums.items() if t != bias} for name, sums in wiring.items()}, bias


def _beside(anatomy: Anatomy, core: Core) -> Beside:
    return Beside(core, tuple(_roots(anatomy, core, [])), _after_norm(anatomy, core))


def _without_beside(wiring: dict[str, dict[str, float]], beside: str, mixture: str) -> dict[str, dict[str, float]]:
    """`wiring` without what `beside` gives, where it is added as much as what `mixture` gives is, else as it is."""
    if any(abs(sums.get(beside, 0.0) - sums.get(mixture, 0.0)) > 1e-6 for sums in wiring.values()):
        return wiring
    return {name: {term: c for term, c in sums.items() if term != beside} for name, sums in wiring.items()}


def _matches(
    wiring: dict[str, dict[str, float]], pattern: dict[str, str], names: dict[str, str]
) -> tuple[float, int | None] | None:
    """(the common factor on what blocks add, of how many terms the layer's input is made up) where `wiring` is
    `pattern` under `names`, else None. No number of terms where the stream is kept as it is."""
    added: set[float] = set()
    terms: set[int | None] = set()
    for name, sums in wiring.items():
        wanted = {
            term.rpartition(" ")[2]: term.startswith("S ") for term in pattern[names.get(name, name)].split(" + ")
        }
        renamed = {names.get(term, term): c for term, c in sums.items()}
        if set(renamed) != set(wanted):
            return None
        blocks = [renamed[term] for term, scaled in wanted.items() if scaled]
        kept = [renamed[term] for term, scaled in wanted.items() if not scaled]
        if all(abs(coefficient - 1) <= 1e-6 for coefficient in kept):
            added |= {round(coefficient, 6) for coefficient in blocks}
            terms |= {None} if blocks else set()
        elif (before := averaged_terms(kept, blocks)) is not None:
            terms.add(before)
        else:
            return None
    if len(terms) > 1 or len(added) > 1:
        return None
    return (added.pop() if added else 1.0), (terms.pop() if terms else None)


def averaged_terms(kept: Sequence[float], blocks: Sequence[float]) -> int | None:
    """The number n of terms that the stream is made up of before a sum: with m `blocks` more it is multiplied by
    sqrt(n / (n + m)), and each of them by 1 / sqrt(n + m). None where the coefficients are other ones."""
    if len(kept) != 1 or not blocks or not 0 < blocks[0] <= 1:
        return None
    total = round(blocks[0] ** -2)
    before = total - len(blocks)
    if before < 1 or abs(kept[0] - math.sqrt(before / total)) > 1e-6:
        return None
    return before if all(abs(coefficient - total**-0.5) <= 1e-6 for coefficient in blocks) else None


def _sum(anatomy: Anatomy, name: str) -> dict[str, float]:
    made = anatomy.inputs[name]
    if not isinstance(made, Sum):
        kind = "columns of another output" if isinstance(made, Columns) else "computed from several modules' outputs"
        module = anatomy.probe.calls[name].module if name in anatomy.probe.calls else None
        raise UnresolvedError("what feeds what in a layer", f"the input of {name} is {kind}", module)
    return made.terms


def _after_norm(anatomy: Anatomy, core: Core) -> str:
    """The projection that a core feeds, directly or through a norm."""
    if not isinstance(anatomy.leaves[core.target], NormLeaf):
        return core.target
    readers = [
        leaf
        for leaf, made in anatomy.inputs.items()
        if isinstance(made, Sum) and made.terms.keys() == {core.target} and abs(made.terms[core.target] - 1) < 1e-6
    ]
    if len(readers) != 1 or not isinstance(anatomy.leaves.get(readers[0]), Affine):
        raise UnresolvedError("what feeds what in a layer", f"{readers} read the norm {core.target}")
    return readers[0]


def _roots(anatomy: Anatomy, core: Core, low_ranks: Sequence[LowRank]) -> list[str]:
    """The projections behind a core's sources, also where a norm of their output comes between, or a second map."""
    roots: list[str] = []
    downs = {low.up: low.down for low in low_ranks}
    for leaf in core.sources:
        leaf = downs.get(leaf, leaf)
        while (behind := source_of_norm(anatomy, leaf)) is not None:
            leaf = behind[0]
        if leaf not in roots:
            roots.append(leaf)
    return roots


def source_of_norm(anatomy: Anatomy, leaf: str) -> tuple[str, tuple[int, ...], bool] | None:
    """(projection, its columns, turned) where `leaf` is a norm of a projection's output, else None."""
    made = anatomy.inputs[leaf]
    if not isinstance(anatomy.leaves[leaf], NormLeaf):
        return None
    if isinstance(made, Columns):
        return made.leaf, made.columns, made.turned
    if isinstance(made, Sum) and len(made.terms) == 1:
        (name,) = made.terms
        if name in anatomy.leaves and abs(made.terms[name] - 1) < 1e-6:
            return name, tuple(range(anatomy.gave[name].shape[1])), False
    return None


def low_rank(anatomy: Anatomy, leaf: str) -> LowRank | None:
    """The pair of maps that `leaf` is the second of, where it reads a norm of what another map gave, and no more than
    all of that beside it."""
    made = anatomy.inputs[leaf]
    if not isinstance(anatomy.leaves[leaf], Affine):
        return None
    beside: list[str] = []
    if isinstance(made, Joined):
        norm, *beside = made.leaves
    elif isinstance(made, Sum) and len(made.terms) == 1 and abs(next(iter(made.terms.values())) - 1) <= 1e-6:
        (norm,) = made.terms
    else:
        return None
    if norm not in anatomy.leaves:
        return None
    behind = source_of_norm(anatomy, norm)
    if behind is None or behind[2] or not isinstance(anatomy.leaves[behind[0]], Affine):
        return None
    whole = behind[1] == tuple(range(anatomy.gave[behind[0]].shape[1]))
    if beside and not (whole and beside == [behind[0]]):
        return None
    return LowRank(leaf, norm, behind[0], behind[1], joined=bool(beside))


def columns_behind_norms(anatomy: Anatomy, core: Core) -> set[tuple[str, int]]:
    """(leaf, column) of what reaches a core through a norm only."""
    found: set[tuple[str, int]] = set()
    for leaf in core.sources:
        normed, low = source_of_norm(anatomy, leaf), low_rank(anatomy, leaf)
        found |= set() if normed is None else {(normed[0], column) for column in normed[1]}
        found |= set() if low is None else {(low.down, column) for column in low.columns}
    return found
