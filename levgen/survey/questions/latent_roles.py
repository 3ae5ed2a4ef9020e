"""Are keys and values made from a vector of low rank, and which channels of the maps around it are what?

Such a vector is a norm of some columns of one map down, which a map up makes the keys and values of all heads from; the
columns that are left are a key that all heads share.
"""

from typing import Any

from levgen.survey.evidence import Evidence, UnresolvedError
from levgen.survey.observe.anatomy import Anatomy, Core
from levgen.survey.questions.channels import PROBE, ROLES, Latent, Moves, Place, Roles
from levgen.survey.questions.dataflow import low_rank

LATENT = "latent attention"


def latent_roles(anatomy: Anatomy, core: Core, moves: Moves) -> Roles:
    """The roles of every channel. Raises UnresolvedError where they don't lie as in the known latent attention."""
    module = anatomy.probe.calls[core.target].module

    def unlike(observed: str) -> UnresolvedError:
        return UnresolvedError(LATENT, observed, module)

    roles = {leaf: {role for role, _ in found} for leaf, found in moves.kinds.items()}
    queries = [leaf for leaf, held in roles.items() if held == {"q"}]
    ups = {leaf: low for leaf in core.sources if leaf not in queries and (low := low_rank(anatomy, leaf)) is not None}
    if len(queries) != 1 or len(ups) != 1:
        raise unlike(f"queries come from {queries}, and keys or values of low rank from {list(ups)}: not from one each")
    (query,), ((up, keys),) = queries, ups.items()
    if roles[up] != {"k", "v"} or set(core.sources) != {query, up, keys.down}:
        held = {leaf: "".join(sorted(own)) for leaf, own in roles.items()}
        raise unlike(f"{held}: not queries, keys and values of low rank, and the rest of a key beside that vector")

    blocks = moves.reached("q")
    value_dim = len(blocks[0])
    heads = anatomy.given[core.target].shape[1] // value_dim
    if blocks != [tuple(range(h * value_dim, (h + 1) * value_dim)) for h in range(heads)]:
        raise UnresolvedError(ROLES, f"queries reach outputs {blocks[:2]}, not heads side by side", module)
    rank, down = len(keys.columns), moves.kinds[keys.down]
    shared = len(down) - rank
    everything = ("k", tuple(range(heads * value_dim)))
    if keys.columns != tuple(range(rank)) or down != [("-", ())] * rank + [everything] * shared:
        raise unlike(f"{keys.down} gives something else than the vector of low rank, then a key that all heads share")
    head_dim, odd = divmod(len(moves.kinds[query]), heads)
    own = head_dim - shared
    if odd or own < 1 or moves.kinds[query] != [("q", block) for block in blocks for _ in range(head_dim)]:
        raise unlike(f"{query} gives something else than {heads} heads one after the other, each wider than {shared}")
    expected = [entry for block in blocks for entry in [*[("k", block)] * own, *(("v", (output,)) for output in block)]]
    if moves.kinds[up] != expected:
        raise unlike(f"{up} gives something else than {own} numbers of a key and {value_dim} of a value for each head")
    low = low_rank(anatomy, query)
    if low is not None and low.columns != tuple(range(anatomy.gave[low.down].shape[1])):
        raise unlike(f"queries are made from some columns of {low.down}")

    places: dict[str, tuple[Place, ...]] = {
        # What is shared comes first in `Roles`, and last in the projections.
        query: tuple(("q", h, (d + shared) % head_dim) for h in range(heads) for d in range(head_dim)),
        up: tuple(
            place
            for h in range(heads)
            for place in [*(("k", h, shared + d) for d in range(own)), *(("v", h, d) for d in range(value_dim))]
        ),
        keys.down: (*[("-", 0, 0)] * rank, *(("s", 0, d) for d in range(shared))),
    }
    evidence = (*_evidence(anatomy, heads, own, shared, value_dim, rank, low), moves.evidence)
    return Roles(
        core,
        heads,
        heads,
        head_dim,
        value_dim,
        places,
        moves.window,
        moves.chunk,
        "separate",
        evidence,
        Latent(low, keys, own, shared),
    )


def _evidence(
    anatomy: Anatomy, heads: int, own: int, shared: int, value_dim: int, rank: int, low: Any
) -> tuple[Evidence, ...]:
    queries = "full rank" if low is None else f"rank {anatomy.gave[low.down].shape[1]}"
    queries += ", normed and as they are" if low is not None and low.joined else ""
    shape = f"{heads} heads; keys of {own} and {shared} that all heads share, values of {value_dim}"
    return (
        Evidence(ROLES, shape, probe=PROBE),
        Evidence(LATENT, f"queries of {queries}, keys and values of rank {rank}", probe="which norm is of which map"),
    )
