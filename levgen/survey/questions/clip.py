"""Are queries, keys and values cut to a range?"""

from levgen.survey.evidence import Evidence, choose, relative
from levgen.survey.observe.bench import Bench


def find_clip(bench: Bench, evidence: list[Evidence]) -> float | None:
    """The bound of values, or None. That queries and keys have the same bound is for the score to show.

    The first position sees its own value only, so that what comes out there is the value, cut, times one factor a head.
    """
    import torch

    r = bench.roles
    q, k = bench.even()
    grid = torch.logspace(-2, 5, r.value_dim, dtype=torch.float64) * (-1.0) ** torch.arange(r.value_dim)
    out = bench.output(q, k, grid.repeat(*k.shape[:2], 1))[0]
    share = out[:, :1] / grid[0]
    out = out / share
    bound = float(out.abs().max())
    errors = {
        "none": relative(grid.expand(out.shape), out),
        f"{bound:.6g}": relative(grid.clamp(-bound, bound).expand(out.shape), out),
    }
    if errors["none"] < 1e-6:
        errors.popitem()
    found = choose("clip of values", errors, "values up to 1e5 at the first position", module=bench.module)
    evidence.append(found)
    return None if found.chosen == "none" else float(str(found.chosen))
