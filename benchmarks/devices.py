"""The train step of `levgen train` on eight simulated devices, FSDP, against one device's: the same batch in all."""

from dataclasses import replace
from typing import Any

import jax
import jax.random as jrandom
import optax

from benchmarks.fresh_process import call
from benchmarks.sizes import FULL, QUICK, Size
from benchmarks.table import Comparison, Ratio
from benchmarks.timing import Runner, Timing, interleaved
from levgen.training.mesh import make_placement
from levgen.training.precision import Precision
from levgen.training.schema import MeshConfig
from levgen.training.step import Training

DEVICES = 8
ONE = "one device"
CASES = {ONE: {"data": 1}, "8 devices, FSDP": {"data": 8}, "8 devices, 4 x 2 FSDP and tensor parallel": {"model": 2}}
AIMS = {"8 devices, FSDP": 1.15}


def run(*, quick: bool) -> list[Comparison]:
    """One table. Raises RuntimeError where the losses of a step differ by more than 1e-5."""
    seconds, losses = call(__name__, "measure", quick, devices=DEVICES)
    worst = max(abs(loss / losses[ONE] - 1) for loss in losses.values())
    if worst > 1e-5:
        raise RuntimeError(f"the losses after three steps differ: {losses}")
    size = _size(quick=quick)
    timings = {name: Timing(tuple(values)) for name, values in seconds.items()}
    ratios = [Ratio(name, ONE, AIMS.get(name)) for name in CASES if name != ONE]
    title = f"Train step on simulated devices: Llama, batch {size.batch} x {size.length}, fp32"
    return [Comparison(title, timings, ratios, [f"The losses after three steps agree to {worst:.0e}."])]


def measure(quick: bool) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of each round and the loss after three steps, by case. All cases run in this one process."""
    runners, losses = {}, {}
    for name, axes in CASES.items():
        trainer = _Trainer(_size(quick=quick), axes)
        losses[name] = [trainer() for _ in range(3)][-1]
        runners[name] = Runner(trainer, prepare=trainer)
    timings = interleaved("Devices", runners, 2 if quick else 15)
    return {name: list(timing.seconds) for name, timing in timings.items()}, losses


class _Trainer:
    """Each call is a step on the same tokens, and returns the loss before it. `axes`: those of `trainer.mesh`."""

    def __init__(self, size: Size, axes: dict[str, int]) -> None:
        count = 1 if axes == CASES[ONE] else DEVICES
        mapping = {"kv_head": "model"} if "model" in axes else {}
        mesh = MeshConfig.model_validate({"axes": axes, "shared_mapping": mapping})
        self.placement = make_placement(mesh, jax.devices()[:count])
        schedule = optax.constant_schedule(1e-3)
        config: Any = size.llama()
        training = Training(
            model_config=config,
            Vocab=size.Vocab,
            Pos=config.Pos,
            optimizer=optax.adamw(schedule),
            schedule=schedule,
            eos_id=None,
            seed=0,
            placement=self.placement,
            precision=Precision(),
            microbatch=None,
        )
        tokens = jrandom.randint(jrandom.key(1), (size.batch, size.length), 0, size.vocab)
        with self.placement.active():
            self.state, rest = training.init()
            self.step = training.train_step(rest)
            self.tokens = jax.device_put(tokens, self.placement.of_batch)

    def __call__(self) -> float:
        with self.placement.active():
            self.state, metrics = self.step(self.state, self.tokens)
            jax.block_until_ready(self.state)
        return float(metrics.loss)


def _size(*, quick: bool) -> Size:
    """A batch that eight devices can share."""
    return replace(QUICK if quick else FULL, batch=8)
