"""Which channels of an attention's projections are queries, keys and values, and in what order they lie.

Which outputs a channel moves gives heads, their width and their groups.
"""

import functools
import operator
from dataclasses import replace

from levgen.survey.evidence import Evidence, UnresolvedError
from levgen.survey.observe.anatomy import Anatomy, Core
from levgen.survey.questions.channels import PROBE, ROLES, Moves, Place, Roles, move_channels
from levgen.survey.questions.dataflow import low_rank, source_of_norm
from levgen.survey.questions.latent_roles import latent_roles

# Of heads in one matrix that was laid out for so many devices.
_BLOCKS = 4


def find_roles(anatomy: Anatomy, core: Core) -> Roles:
    """The roles of every channel. Raises UnresolvedError where they don't partition the channels into heads."""
    moves = move_channels(anatomy, core)
    if any(low_rank(anatomy, leaf) is not None for leaf in core.sources):
        return latent_roles(anatomy, core, moves)
    return _assembled(anatomy, core, moves)


def likely_roles(anatomy: Anatomy, core: Core, like: Roles) -> Roles | None:
    """The roles of another attention for that of `core`, as far as shapes and orders go; None where they can't be.

    Whether channels do play these roles is for what follows to show: the questions about scores ask for the exact
    keys that are seen, and for the whole attention's output.
    """
    if like.core.sources != core.sources:
        return None
    if any(anatomy.gave[leaf].shape[1] != len(places) for leaf, places in like.places.items()):
        return None
    if anatomy.given[core.target].shape[1] != like.heads * like.value_dim:
        return None
    low_ranks = {low for leaf in core.sources if (low := low_rank(anatomy, leaf)) is not None}
    if like.latent is not None:
        return replace(like, core=core) if low_ranks == {like.latent.queries, like.latent.keys} - {None} else None
    if low_ranks:
        return None
    dims = {"q": like.head_dim, "k": like.head_dim, "v": like.value_dim}
    try:
        order = _order(anatomy, core, like.places, like.heads, like.kv_heads, dims)
    except UnresolvedError:  # as many channels, for heads of another width
        return None
    return replace(like, core=core, order=order)


def _assembled(anatomy: Anatomy, core: Core, moves: Moves) -> Roles:
    question, module = ROLES, anatomy.probe.calls[core.target].module
    width = anatomy.given[core.target].shape[1]
    reached = {role: moves.reached(role) for role in "qkv"}
    if not all(reached.values()):
        missing = [role for role, found in reached.items() if not found]
        raise UnresolvedError(question, f"no channel behaves as one of {missing}", module)
    value_dim = len(reached["q"][0])
    heads = width // value_dim
    blocks = [tuple(range(h * value_dim, (h + 1) * value_dim)) for h in range(heads)]
    if reached["q"] != blocks:
        raise UnresolvedError(question, f"queries reach outputs {reached['q'][:2]}, not heads side by side", module)
    kv_heads = len(reached["k"])
    group = heads // max(kv_heads, 1)
    groups = [tuple(range(g * group * value_dim, (g + 1) * group * value_dim)) for g in range(kv_heads)]
    if reached["k"] != groups:
        raise UnresolvedError(
            question, f"keys reach outputs {reached['k'][:2]}, not groups of heads side by side", module
        )
    values = {
        tuple((g * group + j) * value_dim + d for j in range(group)): (g, d)
        for g in range(kv_heads)
        for d in range(value_dim)
    }
    places: dict[str, tuple[Place, ...]] = {}
    seen: dict[tuple[str, int], int] = {}
    for leaf, found in moves.kinds.items():
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
    head_dim = seen.get(("q", 0), 0)
    sizes = {**{("q", h): head_dim for h in range(heads)}, **{("k", g): head_dim for g in range(kv_heads)}}
    held = sorted(place[1:] for own in places.values() for place in own if place[0] == "v")
    if seen != sizes or held != sorted(values.values()):
        raise UnresolvedError(question, "heads of unequal widths", module)
    order = _order(anatomy, core, places, heads, kv_heads, {"q": head_dim, "k": head_dim, "v": value_dim})
    shape = f"{heads} heads, {kv_heads} key heads, {head_dim} wide"
    shape += f", values {value_dim}" if value_dim != head_dim else ""
    evidence = (
        Evidence(question, shape, probe=PROBE),
        Evidence("order of the projections", order, probe=PROBE),
        moves.evidence,
    )
    return Roles(core, heads, kv_heads, head_dim, value_dim, places, moves.window, moves.chunk, order, evidence)


def _order(
    anatomy: Anatomy,
    core: Core,
    places: dict[str, tuple[Place, ...]],
    heads: int,
    kv: int,
    dims: dict[str, int],
) -> str:
    """How the projections hold the heads, once what lies between them and the scores is undone.

    `dims`: role -> width of a head.
    """
    projected: dict[str, dict[int, Place]] = {}
    for leaf, own in places.items():
        root, columns, _ = source_of_norm(anatomy, leaf) or (leaf, tuple(range(len(own))), False)
        projected.setdefault(root, {}).update({c: p for c, p in zip(columns, own, strict=True) if p[0] != "-"})
    lists = {leaf: [own[i] for i in sorted(own)] for leaf, own in projected.items()}

    def block(role: str, head: int) -> list[Place]:
        return [(role, head, d) for d in range(dims[role])]

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
    module = anatomy.probe.calls[core.target].module
    raise UnresolvedError("order of the projections", f"unlike any known: {' '.join(runs[:24])}", module)
