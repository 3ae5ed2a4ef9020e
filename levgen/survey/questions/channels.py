"""What moves when one channel of an attention's projections is moved at one position.

A query's moves that position's output only; a value's moves one channel of each head that reads it, in proportion; a
key's is the rest.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from levgen.survey.evidence import Evidence, UnresolvedError, choose
from levgen.survey.observe.anatomy import Anatomy, Core
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.questions.dataflow import LowRank, columns_behind_norms

ROLES = "queries, keys and values"
# What changes by less than this part of the largest number doesn't change.
_ZERO = 1e-12
# The deviation of what projections give, and by how much a channel is moved.
_STEP = 0.5
PROBE = "each channel of the projections moved at one position"
# role, head, dimension. q, k and v are a head's; s is a key's that all heads share, and - reaches no score by itself.
Place = tuple[str, int, int]


@dataclass(frozen=True)
class Latent:
    """Keys and values that are made from a vector of low rank. `queries`: None where they are of full rank.

    A head's key has `own` dimensions that are its own, and `shared` ones that stand beside the vector.
    """

    queries: LowRank | None
    keys: LowRank
    own: int
    shared: int


@dataclass(frozen=True)
class Roles:
    """The channels of an attention. `places`: source leaf -> what each of its channels is.

    `head_dim`: the width of a head's queries and keys, `value_dim` of its values. Where a part of a key is shared by
    all heads its dimensions come first, here and in queries, wherever they lie in the projections.
    """

    core: Core
    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    places: dict[str, tuple[Place, ...]]
    window: int | None  # a query sees this many keys, itself the last
    chunk: int | None  # or those of its own chunk of this many positions
    order: str  # separate, concat, interleaved, blocks
    evidence: tuple[Evidence, ...]
    latent: Latent | None = None

    @property
    def may_turn(self) -> int:
        """How many dimensions of a head, the first ones, may rotate by its position."""
        return self.head_dim if self.latent is None else self.latent.shared

    def fill(self, q: Any, k: Any, v: Any) -> dict[str, Any]:
        """Outputs [T, N] of the sources for queries and keys [T, heads, head_dim], values [T, heads, value_dim].

        Keys and values have kv_heads heads. What all heads share is taken from the first.
        """
        import torch

        every = torch.cat([*(part.flatten(1) for part in (q, k, v)), torch.zeros_like(v[:, 0, :1])], dim=1)
        return {leaf: every[:, columns] for leaf, columns in self._columns.items()}

    @cached_property
    def _columns(self) -> dict[str, Any]:
        """Of each channel of a source, its column in queries, keys and values side by side, and a last one of zeros."""
        import torch

        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        starts = {"q": (0, self.head_dim), "k": (queries, self.head_dim), "v": (queries + keys, self.value_dim)}
        starts["s"] = starts["k"]
        return {
            leaf: torch.tensor(
                [-1 if role == "-" else starts[role][0] + head * starts[role][1] + dim for role, head, dim in places]
            )
            for leaf, places in self.places.items()
        }

    def split(self, outputs: dict[str, Any]) -> tuple[Any, Any, Any]:
        """The inverse of `fill`: queries, keys and values [T, heads, dimensions]."""
        import torch

        sizes = {
            "q": (self.heads, self.head_dim),
            "k": (self.kv_heads, self.head_dim),
            "v": (self.kv_heads, self.value_dim),
        }
        parts = {r: torch.zeros(LENGTH, *size, dtype=torch.float64) for r, size in sizes.items()}
        for leaf, places in self.places.items():
            for channel, (role, head, dim) in enumerate(places):
                if role == "-":
                    continue
                moved = outputs[leaf][:, channel].double()
                if role == "s":
                    parts["k"][:, :, dim] = moved[:, None]
                else:
                    parts[role][:, head, dim] = moved
        return parts["q"], parts["k"], parts["v"]


@dataclass(frozen=True)
class Moves:
    """`kinds`: source leaf -> of each channel whether it is a query's, key's or value's, and the outputs it moves.

    `window`, `chunk`: as those of `Roles`.
    """

    kinds: dict[str, list[tuple[str, tuple[int, ...]]]]
    window: int | None
    chunk: int | None
    evidence: Evidence

    def reached(self, role: str) -> list[tuple[int, ...]]:
        """The sets of outputs that channels of one role move, sorted."""
        return sorted({columns for found in self.kinds.values() for r, columns in found if r == role})


def move_channels(anatomy: Anatomy, core: Core) -> Moves:
    """Moves every channel. Raises UnresolvedError where one is no query's, key's or value's, or windows differ."""
    question = ROLES
    module = anatomy.probe.calls[core.target].module
    # Scores of about 1, so that no probability is lost to rounding.
    held = {leaf: _STEP * anatomy.gave[leaf] / anatomy.gave[leaf].std() for leaf in core.sources}
    before = anatomy.run(held, core.target)
    middle = LENGTH // 3
    kinds: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    lasts = set()
    # A matrix that holds queries, keys and values may reach the core with its values only, the rest through norms.
    behind_norms = columns_behind_norms(anatomy, core)
    for leaf in core.sources:
        kinds[leaf] = []
        channels = range(held[leaf].shape[1])
        changes = _changes(anatomy, core, held, [_moved(held, leaf, c, middle, 1.0) for c in channels])
        later: dict[int, Any] = {}  # channels that move later positions, too
        for channel, change in zip(channels, changes, strict=True):
            rows, columns = (_where(change.abs().amax(dim=axis), before) for axis in (1, 0))
            if not rows and (leaf, channel) in behind_norms:
                kinds[leaf].append(("-", ()))
                continue
            if not rows:
                raise UnresolvedError(question, f"channel {channel} of {leaf} moves nothing", module)
            if min(rows) < middle:
                raise UnresolvedError(question, f"channel {channel} of {leaf} moves earlier positions", module)
            kinds[leaf].append(("q", tuple(columns)))
            if rows != [middle]:
                later[channel] = (change, max(rows))
        doubled = _changes(anatomy, core, held, [_moved(held, leaf, c, middle, 2.0) for c in later])
        for (channel, (change, last)), double in zip(later.items(), doubled, strict=True):
            # What a key does is far from linear at a move of this size, and fp32 rounds to 1e-5 of it.
            linear = float((double - 2 * change).abs().max()) <= 1e-4 * float(change.abs().max())
            kinds[leaf][channel] = ("v" if linear else "k", kinds[leaf][channel][1])
            if linear:
                lasts.add(last)
    if len(lasts) != 1:
        raise UnresolvedError(question, f"values reach as far as positions {sorted(lasts)} from {middle}", module)
    if lasts == {LENGTH - 1}:
        return Moves(
            kinds, None, None, Evidence("window", None, probe=f"a value moved at position {middle} of {LENGTH}")
        )
    value = next((leaf, i) for leaf, own in kinds.items() for i, (role, _) in enumerate(own) if role == "v")
    at_each = _changes(anatomy, core, held, [_moved(held, *value, at, 1.0) for at in range(LENGTH)])
    seen = _seen(at_each, before)
    evidence = choose("window", _parts_seen(seen), f"a value moved at each of {LENGTH} positions", module=module)
    kind, _, size = str(evidence.chosen).rpartition(" of ")
    chunk = kind == "the keys of a chunk"
    return Moves(kinds, None if chunk else int(size), int(size) if chunk else None, evidence)


def _seen(changes: list[Any], before: Any) -> Any:
    """[T, T] bool: whether the query of a row moves with the value of a column. `changes`: one for each column."""
    import torch

    seen = torch.zeros(LENGTH, LENGTH, dtype=torch.bool)
    for at, change in enumerate(changes):
        seen[_where(change.abs().amax(dim=1), before), at] = True
    return seen


def _parts_seen(seen: Any) -> dict[str, float]:
    """Which part of the keys a query may see -> in which part of all pairs `seen` [T, T] is something else."""
    size = int(seen[:, 0].sum())
    errors = {}
    for kind, window, chunk in (("the last keys", size, None), ("the keys of a chunk", None, size)):
        if kind == "the last keys" or size > 1:  # of one key each both are the same
            errors[f"{kind}, of {size}"] = float((visible(window, chunk) != seen).double().mean())
    return {name.replace(",", ""): error for name, error in errors.items()}


def visible(window: int | None, chunk: int | None) -> Any:
    """[T, T] bool: whether a query, by row, sees a key."""
    import torch

    at = torch.arange(LENGTH)
    distance = at[:, None] - at
    seen = (distance >= 0) & (distance < (LENGTH if window is None else window))
    return seen if chunk is None else seen & (at[:, None] // chunk == at // chunk)


def _moved(held: dict[str, Any], leaf: str, channel: int, at: int, by: float) -> dict[str, Any]:
    """`held` with one channel of what `leaf` gives moved at position `at`."""
    moved = held[leaf].clone()
    moved[at, channel] += by * _STEP
    return {**held, leaf: moved}


def _changes(anatomy: Anatomy, core: Core, held: dict[str, Any], cases: list[dict[str, Any]]) -> list[Any]:
    """How what goes into the core's target differs from that of `held` in each of `cases`."""
    before, *after = anatomy.run_each([held, *cases], core.target)
    return [one - before for one in after]


def _where(change: Any, before: Any) -> list[int]:
    return [int(i) for i in (change > _ZERO * float(before.abs().max())).nonzero()[:, 0]]
