"""An attention with its projections replaced: probabilities for chosen queries and keys."""

from typing import Any

from levgen.survey.evidence import UnresolvedError
from levgen.survey.observe.anatomy import Anatomy
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.questions.channels import Roles, visible


class Bench:
    """One attention under experiment. `sinks`, `clip` and `query_scaling` are None until they are found, and
    `value_scale`, what values are multiplied by, is 1."""

    def __init__(self, anatomy: Anatomy, roles: Roles) -> None:
        import torch

        self.anatomy, self.roles = anatomy, roles
        self.module = anatomy.probe.calls[roles.core.target].module
        self.distance = torch.arange(LENGTH)[:, None] - torch.arange(LENGTH)
        self.visible = visible(roles.window, roles.chunk)
        self.sinks: str | None = None
        self.clip: float | None = None
        self.value_scale = 1.0
        self.query_scaling: Any = None  # [T]: what queries are multiplied by; they are given divided by it

    def unresolved(self, question: str, observed: str) -> UnresolvedError:
        return UnresolvedError(question, observed, self.module)

    def clipped(self, amplitude: float) -> float:
        return amplitude if self.clip is None else min(amplitude, self.clip)

    @property
    def unit(self) -> float:
        """1, or as much as a clip lets pass."""
        return self.clipped(1.0)

    def output(self, q: Any, k: Any, v: Any) -> Any:
        """[T, heads, value_dim]: what comes out for queries, keys and values, shaped as for `Roles.fill`."""
        r = self.roles
        if self.query_scaling is not None:
            q = q / self.query_scaling[:, None, None]
        return self.anatomy.run(r.fill(q, k, v), r.core.target).double().reshape(LENGTH, r.heads, r.value_dim)

    def shares(self, q: Any, k: Any) -> Any:
        """[heads, T, T]: how much of each value a query gets. Rows sum to 1, or to less where sinks take a part."""
        import torch

        r, unit = self.roles, self.unit
        columns = []
        for start in range(0, LENGTH, r.value_dim):
            count = min(r.value_dim, LENGTH - start)
            v = torch.zeros(LENGTH, r.kv_heads, r.value_dim, dtype=torch.float64)
            at = torch.arange(count)
            v[start + at, :, at] = unit
            columns.append(self.output(q, k, v)[:, :, :count] / (unit * self.value_scale))
        p = torch.cat(columns, dim=-1).permute(1, 0, 2)
        if bool((p[:, ~self.visible] > 0).any()):
            raise self.unresolved("mask", "positions are seen beyond the window and the causal mask")
        return p

    def probabilities(self, q: Any, k: Any) -> Any:
        """`shares` that sum to 1, what goes to known sinks left out."""
        p = self.shares(q, k)
        total = p.sum(-1, keepdim=True)
        if self.sinks is not None:
            return p / total
        error = float((total - 1).abs().max())
        if not error <= 1e-5:
            raise self.unresolved("probabilities", f"a row sums to 1 ± {error:.2g}, not to 1")
        return p

    def even(self, q: float = 0.0, k: float = 0.0) -> tuple[Any, Any]:
        """Queries and keys that are constant."""
        import torch

        r = self.roles
        shapes = ((LENGTH, r.heads, r.head_dim), (LENGTH, r.kv_heads, r.head_dim))
        pair = [torch.full(s, x, dtype=torch.float64) for s, x in zip(shapes, (q, k), strict=True)]
        return pair[0], pair[1]
