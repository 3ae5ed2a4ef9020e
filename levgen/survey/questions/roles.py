"""Which channels of an attention's projections are queries, keys and values, and in what order they lie.

A channel is moved at one position. A query's moves that position's output only; a value's moves one channel of each
head that reads it, in proportion; a key's is the rest. Which outputs move gives heads, their width and their groups.
"""

import functools
import operator
from dataclasses import dataclass
from typing import Any

from levgen.survey.evidence import Evidence, UnresolvedError
from levgen.survey.observe.anatomy import Anatomy, Core
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.questions.dataflow import source_of_norm

# Of heads in one matrix that was laid out for so many devices.
_BLOCKS = 4
Place = tuple[str, int, int]  # role (q, k or v), head, dimension


@dataclass(frozen=True)
class Roles:
    """The channels of an attention. `places`: source leaf -> what each of its channels is."""

    core: Core
    heads: int
    kv_heads: int
    head_dim: int
    places: dict[str, tuple[Place, ...]]
    window: int | None  # a query sees this many keys, itself the last
    order: str  # separate, concat, interleaved, blocks
    evidence: tuple[Evidence, ...]

    def fill(self, q: Any, k: Any, v: Any) -> dict[str, Any]:
        """Outputs [T, N] of the sources for queries [T, heads, dim], keys and values [T, kv_heads, dim]."""
        import torch

        parts = {"q": q, "k": k, "v": v, "-": torch.zeros_like(v)}
        return {
            leaf: torch.stack([parts[role][:, head, dim] for role, head, dim in places], dim=1)
            for leaf, places in self.places.items()
        }

    def split(self, outputs: dict[str, Any]) -> tuple[Any, Any, Any]:
        """The inverse of `fill`: q [T, heads, dim], k and v [T, kv_heads, dim]."""
        import torch

        sizes = {"q": self.heads, "k": self.kv_heads, "v": self.kv_heads}
        parts = {r: torch.zeros(LENGTH, n, self.head_dim, dtype=torch.float64) for r, n in sizes.items()}
        for leaf, places in self.places.items():
            for channel, (role, head, dim) in enumerate(places):
                if role == "-":
                    continue
                parts[role][:, head, dim] = outputs[leaf][:, channel].double()
        return parts["q"], parts["k"], parts["v"]


def find_roles(anatomy: Anatomy, core: Core) -> Roles:
    """The roles of every channel. Raises UnresolvedError where they don't partition the channels into heads."""
    question = "queries, keys and values"
    module = anatomy.probe.calls[core.target].module
    # Scores of about 1, so that no probability is lost to rounding.
    held = {leaf: 0.5 * anatomy.gave[leaf] / anatomy.gave[leaf].std() for leaf in core.sources}
    before = anatomy.run(held, core.target)
    middle = LENGTH // 3
    kinds: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    lasts = set()
    # A matrix that holds queries, keys and values may reach the core with its values only, the rest through norms.
    behind_norms = {
        (found[0], column) for leaf in core.sources if (found := source_of_norm(anatomy, leaf)) for column in found[1]
    }
    for leaf in core.sources:
        kinds[leaf] = []
        for channel in range(held[leaf].shape[1]):
            change = _moved(anatomy, core, held, leaf, channel, middle, 1.0) - before
            rows, columns = (_where(change.abs().amax(dim=axis), before) for axis in (1, 0))
            if not rows and (leaf, channel) in behind_norms:
                kinds[leaf].append(("-", ()))
                continue
            if not rows:
                raise UnresolvedError(question, f"channel {channel} of {leaf} moves nothing", module)
            if min(rows) < middle:
                raise UnresolvedError(question, f"channel {channel} of {leaf} moves earlier positions", module)
            if rows == [middle]:
                kinds[leaf].append(("q", tuple(columns)))
                continue
            double = _moved(anatomy, core, held, leaf, channel, middle, 2.0) - before
            # What a key does is far from linear at a move of this size, and fp32 rounds to 1e-5 of it.
            linear = float((double - 2 * change).abs().max()) <= 1e-4 * float(change.abs().max())
            kinds[leaf].append(("v" if linear else "k", tuple(columns)))
            if linear:
                lasts.add(max(rows))
    if len(lasts) != 1:
        raise UnresolvedError(question, f"values reach as far as positions {sorted(lasts)} from {middle}", module)
    last = lasts.pop()
    window = None if last == LENGTH - 1 else last - middle + 1
    return _assembled(anatomy, core, kinds, window, question, module)


def _moved(anatomy: Anatomy, core: Core, held: dict[str, Any], leaf: str, channel: int, at: int, by: float) -> Any:
    moved = held[leaf].clone()
    moved[at, channel] += by * float(held[leaf].std())
    return anatomy.run({**held, leaf: moved}, core.target)


def _where(change: Any, before: Any) -> list[int]:
    return [int(i) for i in (change > 1e-12 * float(before.abs().max())).nonzero()[:, 0]]


def _assembled(anatomy: Anatomy, core: Core, kinds: Any, window: int | None, question: str, module: Any) -> Roles:
    width = anatomy.given[core.target].shape[1]
    reached = {
        role: sorted({columns for found in kinds.values() for r, columns in found if r == role}) for role in "qkv"
    }
    if not all(reached.values()):
        missing = [role for role, found in reached.items() if not found]
        raise UnresolvedError(question, f"no channel behaves as one of {missing}", module)
    head_dim = len(reached["q"][0])
    heads = width // head_dim
    blocks = [tuple(range(h * head_dim, (h + 1) * head_dim)) for h in range(heads)]
    if reached["q"] != blocks:
        raise UnresolvedError(question, f"queries reach outputs {reached['q'][:2]}, not heads side by side", module)
    kv_heads = len(reached["k"])
    group = heads // max(kv_heads, 1)
    groups = [tuple(range(g * group * head_dim, (g + 1) * group * head_dim)) for g in range(kv_heads)]
    if reached["k"] != groups:
        raise UnresolvedError(
            question, f"keys reach outputs {reached['k'][:2]}, not groups of heads side by side", module
        )
    values = {
        tuple((g * group + j) * head_dim + d for j in range(group)): (g, d)
        for g in range(kv_heads)
        for d in range(head_dim)
    }
    places: dict[str, tuple[Place, ...]] = {}
    seen: dict[tuple[str, int], int] = {}
    for leaf, found in kinds.items():
        own: list[Place] = []
        for role, columns in found:
            if role == "-":
                own.append(("-", 0, 0))
                continue
            if role == "v":
                if columns not in values:
                    raise UnresolvedError(question, f"a value of {leaf} reaches outputs {columns[:4]}", module)
                own.append(("v", *values[columns]))
                continue
            head = (blocks if role == "q" else groups).index(columns)
            own.append((role, head, seen.get((role, head), 0)))
            seen[role, head] = seen.get((role, head), 0) + 1
        places[leaf] = tuple(own)
    sizes = {**{("q", h): head_dim for h in range(heads)}, **{("k", g): head_dim for g in range(kv_heads)}}
    if seen != sizes or sum(p[0] != "-" for own in places.values() for p in own) != (heads + 2 * kv_heads) * head_dim:
        raise UnresolvedError(question, "heads of unequal widths", module)
    order = _order(anatomy, places, heads, kv_heads, head_dim, question, module)
    probe = "each channel of the projections moved at one position"
    shape = f"{heads} heads, {kv_heads} key heads, {head_dim} wide"
    evidence = (
        Evidence(question, shape, probe=probe),
        Evidence("order of the projections", order, probe=probe),
        Evidence("window", window, probe=f"a value moved at position {LENGTH // 3} of {LENGTH}"),
    )
    return Roles(core, heads, kv_heads, head_dim, places, window, order, evidence)


def _order(
    anatomy: Anatomy, places: dict[str, tuple[Place, ...]], heads: int, kv: int, dim: int, question: str, module: Any
) -> str:
    """How the projections hold the heads, once what lies between them and the scores is undone."""
    projected: dict[str, dict[int, Place]] = {}
    for leaf, own in places.items():
        root, columns, _ = source_of_norm(anatomy, leaf) or (leaf, tuple(range(len(own))), False)
        projected.setdefault(root, {}).update({c: p for c, p in zip(columns, own, strict=True) if p[0] != "-"})
    lists = {leaf: [own[i] for i in sorted(own)] for leaf, own in projected.items()}

    def block(role: str, head: int) -> list[Place]:
        return [(role, head, d) for d in range(dim)]

    def run(role: str, count: int) -> list[Place]:
        return [place for head in range(count) for place in block(role, head)]

    parts = [run("q", heads), run("k", kv), run("v", kv)]
    if sorted(lists.values()) == sorted(parts):
        return "separate"
    if len(lists) == 1:
        (fused,) = lists.values()
        if fused == functools.reduce(operator.iadd, parts, []):
            return "concat"
        group = heads // kv
        by_head = [
            [p for j in range(group) for p in block("q", g * group + j)] + block("k", g) + block("v", g)
            for g in range(kv)
        ]
        if fused == functools.reduce(operator.iadd, by_head, []):
            return "interleaved"
        if heads == kv and heads % _BLOCKS == 0:
            size = heads // _BLOCKS
            # With one head a block this is also q, v, k by head: other numbers of heads tell.
            by_block = [
                [p for role in "qvk" for head in range(start, start + size) for p in block(role, head)]
                for start in range(0, heads, size)
            ]
            if fused == functools.reduce(operator.iadd, by_block, []):
                return "blocks"
    runs: list[str] = []
    for held in lists.values():
        for role, head, _ in held:
            if not runs or runs[-1] != f"{role}{head}":
                runs.append(f"{role}{head}")
    raise UnresolvedError("order of the projections", f"unlike any known: {' '.join(runs[:24])}", module)
