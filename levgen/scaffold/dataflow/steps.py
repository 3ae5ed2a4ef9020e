"""The steps of a layer, in order, as data: what diagrams are drawn from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One operation: the module of the checkpoint that does it, or a sign for what none does; and what it does."""

    name: str
    does: str = ""


@dataclass(frozen=True)
class Lane:
    """What happens to one of several tensors that are computed side by side: queries, keys, values, a gate."""

    name: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Branch:
    """A block beside the stream: steps, then lanes that `join`, then steps; its output is called `name`."""

    name: str
    before: tuple[Step, ...]
    lanes: tuple[Lane, ...]
    join: Step | None
    after: tuple[Step, ...]


@dataclass(frozen=True)
class Residual:
    """Branches beside the stream, whose outputs are added to it. `shared` comes before all, `after` follows the sum."""

    shared: tuple[Step, ...]
    branches: tuple[Branch, ...]
    total: str
    after: tuple[Step, ...]


@dataclass(frozen=True)
class Dataflow:
    """A layer, between what comes `before` and `after` the stack."""

    before: tuple[Step, ...]
    layers: str
    residuals: tuple[Residual, ...]
    after: tuple[Step, ...]
