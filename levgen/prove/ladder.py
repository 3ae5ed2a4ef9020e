"""The ladder: the rungs in the order in which they are climbed, and climbing them."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from levgen.errors import LevgenError, did_you_mean
from levgen.prove.outcome import Outcome, Status, failed, skipped

if TYPE_CHECKING:
    from levgen.prove.bench import Bench


@dataclass(frozen=True)
class Rung:
    """One rung. Its function is `levgen.prove.rungs.<module>.<module>`, imported when it is climbed.

    level: what a model that passes it may call itself. needs: rungs without which this one says nothing.
    reference: whether it compares with one. optional: whether its level is reached without it, where it is skipped.
    """

    name: str
    module: str
    summary: str
    level: str
    needs: tuple[str, ...] = ("imports", "traces")
    reference: bool = True
    optional: bool = False


_WEIGHTS = ("imports", "traces", "parameters")
LADDER = (
    Rung("imports", "imports", "the file runs, without torch", "traces", (), reference=False),
    Rung("traces", "traces", "traced on shapes, tiny and at full size", "traces", ("imports",), reference=False),
    Rung("axes", "axes", "named axes are those of a trainer", "shapes", reference=False),
    Rung("parameters", "parameters", "every tensor of the reference has its place", "shapes"),
    Rung("modules", "modules", "each module alone", "parity", _WEIGHTS),
    Rung("forward", "forward", "logits and loss, at every config of the tests", "parity", _WEIGHTS),
    Rung("positions", "positions", "long sequences, every kind of rotation", "parity", _WEIGHTS),
    Rung("masks", "masks", "packing, padding, windows, no look ahead", "parity", _WEIGHTS),
    Rung("cache", "cache", "decoding with a cache", "parity", _WEIGHTS, reference=False, optional=True),
    Rung("bfloat16", "bfloat16", "as close in bfloat16 as the reference", "parity", _WEIGHTS),
    Rung("scan", "scan", "scanned layers equal unrolled ones", "parity", reference=False),
    Rung("devices", "devices", "8 simulated devices equal one", "parity", reference=False, optional=True),
    Rung("round-trip", "round_trip", "Hugging Face files, bit for bit", "parity", _WEIGHTS),
    Rung("initialisation", "initialisation", "fresh weights are drawn as the reference's", "parity", _WEIGHTS),
    Rung("gradients", "gradients", "of every parameter", "gradients", _WEIGHTS),
    Rung("optimizer", "optimizer", "one step of AdamW", "gradients", _WEIGHTS),
    Rung("checkpoint", "checkpoint", "real weights on a text", "real checkpoint", _WEIGHTS),
)
# The rung that `--mutate` adds. It runs the project's tests, and is no function of the bench.
MUTATIONS = Rung("mutations", "", "the tests catch every seeded fault", "mutation-proof", ("forward",))
# The rung that stubs of what a survey didn't understand add: no level rests on it.
AROUND = Rung("around", "around", "all around the stubs", "scaffolded", _WEIGHTS)
LEVELS = ("scaffolded", "traces", "shapes", "parity", "gradients", "real checkpoint", "mutation-proof")


@dataclass(frozen=True)
class Climbed:
    """A rung with its outcome and the seconds that it took."""

    rung: Rung
    outcome: Outcome
    seconds: float


def rung_named(name: str) -> Rung:
    """The rung of that name. Raises LevgenError, with the nearest, where there is none."""
    by_name = {rung.name: rung for rung in (*LADDER, AROUND, MUTATIONS)}
    if name not in by_name:
        raise LevgenError(
            f"there is no rung {name!r}", did_you_mean(name, by_name) or f"the rungs are {', '.join(by_name)}"
        )
    return by_name[name]


def chosen(names: Sequence[str]) -> list[Rung]:
    """The rungs of those names with the ones that they need, in the ladder's order; all of them where none is named."""
    if not names:
        return list(LADDER)
    wanted = {rung_named(name).name for name in names}
    for rung in (AROUND, *reversed(LADDER)):
        if rung.name in wanted:
            wanted |= set(rung.needs)
    return [rung for rung in (*LADDER, AROUND) if rung.name in wanted]


def climb(
    bench: "Bench", rungs: Sequence[Rung], *, before: Callable[[Rung], None] = lambda rung: None
) -> Iterator[Climbed]:
    """Climbs `rungs`, and goes on after one that fails. `before` is called with each rung as it begins."""
    ended: dict[str, Status] = {}
    for rung in rungs:
        before(rung)
        started = time.perf_counter()
        outcome = _climbed(bench, rung, ended)
        ended[rung.name] = outcome.status
        yield Climbed(rung, outcome, time.perf_counter() - started)


def _climbed(bench: "Bench", rung: Rung, ended: dict[str, Status]) -> Outcome:
    import importlib

    broken = [name for name in rung.needs if ended.get(name) is Status.FAILED]
    if broken:
        return skipped(f"{broken[0]} failed")
    if rung.reference and bench.missing:
        return skipped(bench.missing)
    function = getattr(importlib.import_module(f"levgen.prove.rungs.{rung.module}"), rung.module)
    try:
        outcome: Outcome = function(bench)
    except LevgenError:
        # A rung that finds the model wrong by an error of the runtime's names it; a mistake in the call stops the run.
        if rung.name == "checkpoint":
            raise
        return _raised(rung)
    except NotImplementedError:
        stubs = ", ".join(bench.subject.stubs)
        return skipped(f"to be written: {stubs}") if stubs else _raised(rung)
    except Exception:
        return _raised(rung)
    return outcome


def _raised(rung: Rung) -> Outcome:
    import sys
    import traceback

    error = sys.exc_info()[1]
    lines = (str(error).strip() or type(error).__name__).splitlines()
    frames = [
        f"{frame.filename}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__ if error else None)
        if "levgen/prove" not in frame.filename and "site-packages" not in frame.filename
    ]
    return failed(f"{type(error).__name__}: {lines[0]}", details=(*lines[1:4], *frames[-1:]))
