"""The channel block: gated or plain, in which order its halves lie, and which activation it has."""

from dataclasses import dataclass
from typing import Any

from levgen.survey.evidence import Evidence, UnresolvedError, choose, relative
from levgen.survey.observe.anatomy import Anatomy, Core
from levgen.survey.observe.shapes import LENGTH, random_like
from levgen.survey.questions.functions import known_activations

# Functions closer than this are one function under several names.
SAME = 1e-9
# erf and tanh GELU differ by 5e-5.
ACCEPT = 3e-7


@dataclass(frozen=True)
class ChannelBlock:
    """`gate` is None in a plain block. `projections`: separate or concat. `activations`: names of one function.

    `act`: the module that is the activation, where that has parameters.
    """

    kind: str
    projections: str
    gate: str | None
    up: str
    width: int
    activations: tuple[str, ...]
    act: str | None
    evidence: tuple[Evidence, ...]


def find_channel_block(anatomy: Anatomy, core: Core) -> ChannelBlock:
    """Raises UnresolvedError where the block is neither act(up) nor act(gate) * up with a known activation."""
    question = "channel block"
    module = anatomy.probe.calls[core.target].module
    width = anatomy.given[core.target].shape[1]
    # Positive inputs: an activation may let nothing else pass.
    held = {leaf: 0.5 + anatomy.gave[leaf].abs() / anatomy.gave[leaf].std() for leaf in core.sources}
    channels = [(leaf, channel) for leaf in core.sources for channel in range(held[leaf].shape[1])]
    reached = _reached(anatomy, core, held, channels)
    by_output: dict[int, list[tuple[str, int]]] = {}
    for channel, outputs in zip(channels, reached, strict=True):
        if len(outputs) != 1:
            raise UnresolvedError(question, f"channel {channel} reaches {len(outputs)} outputs", module)
        by_output.setdefault(outputs[0], []).append(channel)
    if len(by_output) != width or {len(found) for found in by_output.values()} not in ({1}, {2}):
        raise UnresolvedError(
            question, f"{len(channels)} channels make {width} outputs, {len(by_output)} of them", module
        )
    members = [by_output[i] for i in range(width)]
    probe = "each channel moved, then a grid over ±8 and ±60"
    if len(members[0]) == 1:
        if [m[0] for m in members] != [(core.sources[0], i) for i in range(width)]:
            raise UnresolvedError(question, "channels change their order", module)
        gate, up, projections = None, core.sources[0], "separate"
    else:
        first, second = ([m[i] for m in members] for i in (0, 1))
        linear = [_is_linear(anatomy, core, held, part) for part in (first, second)]
        if linear not in ([True, False], [False, True], [True, True]):
            raise UnresolvedError(question, "the output is linear in neither half", module)
        # Where both are linear, either may be called the gate.
        gates, ups = (second, first) if linear == [True, False] else (first, second)
        if len(core.sources) == 2:
            wanted = [[(leaf, i) for i in range(width)] for leaf in (gates[0][0], ups[0][0])]
            if [gates, ups] != wanted:
                raise UnresolvedError(question, "channels change their order", module)
            gate, up, projections = gates[0][0], ups[0][0], "separate"
        elif [gates, ups] == [[(core.sources[0], i + at) for i in range(width)] for at in (0, width)]:
            gate, up, projections = core.sources[0], core.sources[0], "concat"
        else:
            raise UnresolvedError(
                "order of gate and up",
                f"gates {[c for _, c in gates[:4]]}, ups {[c for _, c in ups[:4]]} in one matrix",
                module,
            )
    names, found = _activation(anatomy, core, held, gate, up, projections, width, probe, module)
    kind = "plain" if gate is None else "gated"
    evidence = (Evidence(question, f"{kind}, {projections}", probe=probe), found)
    act = next((module for module, own in anatomy.learned.items() if own.name in names), None)
    return ChannelBlock(kind, projections, gate, up, width, names, act, evidence)


def _reached(anatomy: Anatomy, core: Core, held: dict[str, Any], channels: list[tuple[str, int]]) -> list[list[int]]:
    """The outputs that each channel moves: many channels in one run, each at a position of its own."""
    before = anatomy.run(held, core.target)
    found = []
    for start in range(0, len(channels), LENGTH):
        some = channels[start : start + LENGTH]
        moved = {leaf: tensor.clone() for leaf, tensor in held.items()}
        for row, (leaf, channel) in enumerate(some):
            moved[leaf][row, channel] += float(held[leaf].std())
        change = (anatomy.run(moved, core.target) - before).abs()
        limit = 1e-12 * float(before.abs().max())
        found += [[int(i) for i in (change[row] > limit).nonzero()[:, 0]] for row in range(len(some))]
    return found


def _is_linear(anatomy: Anatomy, core: Core, held: dict[str, Any], part: list[tuple[str, int]]) -> bool:
    """Whether the output is linear in the channels `part`, the others held."""
    outputs = []
    for factor in (1.0, 2.0, 0.0):
        moved = {leaf: tensor.clone() for leaf, tensor in held.items()}
        for leaf, channel in part:
            moved[leaf][:, channel] *= factor
        outputs.append(anatomy.run(moved, core.target))
    once, twice, none = outputs
    return float((twice - 2 * once + none).abs().max()) <= 1e-6 * float(once.abs().max())


def _activation(
    anatomy: Anatomy,
    core: Core,
    held: dict[str, Any],
    gate: str | None,
    up: str,
    projections: str,
    width: int,
    probe: str,
    module: Any,
) -> tuple[tuple[str, ...], Evidence]:
    """The names of the activation in transformers' table, and how the next function fared."""
    import torch

    candidates = known_activations() | {own.name: own.function for own in anatomy.learned.values()}
    grid = torch.linspace(-8, 8, LENGTH * width, dtype=torch.float64).reshape(LENGTH, width)
    grid[:, -1] = torch.linspace(-60, 60, LENGTH)  # where clipped functions part from the others
    ones = torch.ones_like(grid)
    if gate is None:
        replaced = {up: grid}
    elif projections == "separate":
        replaced = {gate: grid, up: ones}
    else:
        replaced = {up: torch.cat([grid, ones], dim=1)}
    out = anatomy.run(replaced, core.target)
    doubled = (
        None
        if gate is None
        else anatomy.run({k: (2 * v if v is ones else v) for k, v in replaced.items()}, core.target)
    )
    if doubled is not None and projections == "separate" and relative(doubled, 2 * out) > 1e-6:
        raise UnresolvedError("channel block", "it is no product of up and a function of gate", module)
    # The wide grid is compared by itself: what differs at small inputs is nothing beside the square of a large one.
    errors = {
        name: max(relative(y[:, :-1], out[:, :-1]), relative(y[:, -1], out[:, -1]))
        for name, y in ((name, f(grid)) for name, f in candidates.items())
    }
    best = min(errors, key=lambda name: errors[name])
    same = tuple(name for name, f in candidates.items() if relative(f(grid), candidates[best](grid)) < SAME)
    distinct = {best: errors[best], **{name: e for name, e in errors.items() if name not in same}}
    found = choose("activation", distinct, probe, module=module, accept=ACCEPT)
    # Far from the grid too: a limit that the grid doesn't reach would else go unseen.
    far = {leaf: random_like(t, std=300.0, seed=7) for leaf, t in held.items()}
    seen = anatomy.run(far, core.target)
    f = candidates[best]
    if gate is None:
        again = f(far[up])
    elif projections == "separate":
        again = f(far[gate]) * far[up]
    else:
        again = f(far[up][:, :width]) * far[up][:, width:]
    if relative(again, seen) > 1e-6:
        raise UnresolvedError("activation", f"{best} on a grid over ±8, and not at inputs of std 300", module)
    return same, found
