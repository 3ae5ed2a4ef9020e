"""An attention with its projections replaced: probabilities for chosen queries and keys."""

from collections.abc import Sequence
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
        return self._outputs([(q, k, v)])[0]

    def _outputs(self, cases: Sequence[tuple[Any, Any, Any]]) -> list[Any]:
        r = self.roles
        by = 1.0 if self.query_scaling is None else self.query_scaling[:, None, None]
        found = self.anatomy.run_each([r.fill(q / by, k, v) for q, k, v in cases], r.core.target)
        return [one.double().reshape(LENGTH, r.heads, r.value_dim) for one in found]

    def shares(self, q: Any, k: Any) -> Any:
        """[heads, T, T]: how much of each value a query gets. Rows sum to 1, or to less where sinks take a part."""
        return self._shares_of_each([(q, k)])[0]

    def _shares_of_each(self, cases: Sequence[tuple[Any, Any]]) -> list[Any]:
        import torch

        r, unit = self.roles, self.unit
        counts = [min(r.value_dim, LENGTH - start) for start in range(0, LENGTH, r.value_dim)]
        values = []
        for number, count in enumerate(counts):
            v = torch.zeros(LENGTH, r.kv_heads, r.value_dim, dtype=torch.float64)
            at = torch.arange(count)
            v[number * r.value_dim + at, :, at] = unit
            values.append(v)
        outputs = iter(self._outputs([(q, k, v) for q, k in cases for v in values]))
        found = []
        for _ in cases:
            columns = [next(outputs)[:, :, :count] / (unit * self.value_scale) for count in counts]
            p = torch.cat(columns, dim=-1).permute(1, 0, 2)
            if bool((p[:, ~self.visible] > 0).any()):
                raise self.unresolved("mask", "positions are seen beyond the window and the causal mask")
            found.append(p)
        return found

    def probabilities(self, q: Any, k: Any) -> Any:
        """`shares` that sum to 1, what goes to known sinks left out."""
        return self.probabilities_of_each([(q, k)])[0]

    def probabilities_of_each(self, cases: Sequence[tuple[Any, Any]]) -> list[Any]:
        """`probabilities` for each pair of queries and keys."""
        found = []
        for p in self._shares_of_each(cases):
            total = p.sum(-1, keepdim=True)
            error = float((total - 1).abs().max())
            if self.sinks is None and not error <= 1e-5:
                raise self.unresolved("probabilities", f"a row sums to 1 ± {error:.2g}, not to 1")
            found.append(p if self.sinks is None else p / total)
        return found

    def even(self, q: float = 0.0, k: float = 0.0) -> tuple[Any, Any]:
        """Queries and keys that are constant."""
        import torch

        r = self.roles
        shapes = ((LENGTH, r.heads, r.head_dim), (LENGTH, r.kv_heads, r.head_dim))
        pair = [torch.full(s, x, dtype=torch.float64) for s, x in zip(shapes, (q, k), strict=True)]
        return pair[0], pair[1]
