"""Runs a few steps of a training configuration under jax's profiler."""

import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import jax

from levgen.training.profiling.scopes import Scope, scopes
from levgen.training.profiling.trace import TRACE, OpTime, find_trace, read_operations
from levgen.training.setup import Setup, prepare
from levgen.training.validate import Loaded

WARM_UP = 2  # steps before the trace: the first ones also set up what compilation left


@dataclass(frozen=True)
class Profile:
    """What was measured. Operations and modules are summed over the traced steps and over devices."""

    setup: Setup
    steps: int
    compile_seconds: float
    step_seconds: float  # the median
    operations: list[tuple[OpTime, Scope]]
    argument_bytes: int  # parameters, the optimiser's state and the batch, on one device
    temporary_bytes: int  # beside them while a step runs
    peak_bytes: int | None  # as the device counted; None where it doesn't
    trace: Path

    @property
    def modules(self) -> dict[str, dict[str, float]]:
        """Microseconds by module and phase, the longest module first."""
        times: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for operation, scope in self.operations:
            times[scope.module][scope.phase] += operation.microseconds
        return dict(sorted(times.items(), key=lambda item: sum(item[1].values()), reverse=True))


def profile(loaded: Loaded, steps: int) -> Profile:
    """Measures `steps` steps of the run that `loaded` describes, from fresh weights; no checkpoint is read or written.

    The trace goes to `<log_dir>/<id>.trace.json.gz`.

    Raises:
        LevgenError: what `levgen train` would refuse too.
    """
    setup = prepare(loaded)
    training, batches = setup.training, setup.batches
    with training.placement.active(), tempfile.TemporaryDirectory() as folder:
        state, rest = training.init()
        before = time.perf_counter()
        step = training.train_step(rest).lower(state, batches.at(0)).compile()
        compile_seconds = time.perf_counter() - before
        for index in range(WARM_UP):
            state, _ = jax.block_until_ready(step(state, batches.at(index)))
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0
        seconds = []
        with jax.profiler.trace(folder, profiler_options=options):
            for index in range(WARM_UP, WARM_UP + steps):
                tokens = batches.at(index)
                before = time.perf_counter()
                with jax.profiler.StepTraceAnnotation("train", step_num=index):
                    state, _ = jax.block_until_ready(step(state, tokens))
                seconds.append(time.perf_counter() - before)
        trace = setup.model.metrics_file.with_suffix(f".{TRACE}")
        trace.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(find_trace(Path(folder)), trace)
    hlo = step.as_text()
    by_name = scopes(hlo)
    module = hlo.partition(",")[0].removeprefix("HloModule ")
    # A loop or call only contains what is counted by itself, also where that ran on another thread.
    operations = [
        (operation, by_name[operation.name])
        for operation in read_operations(trace, module)
        if operation.name in by_name
    ]
    memory = step.memory_analysis()
    device_memory = training.placement.mesh.devices.flat[0].memory_stats() or {}
    return Profile(
        setup=setup,
        steps=steps,
        compile_seconds=compile_seconds,
        step_seconds=statistics.median(seconds),
        operations=operations,
        argument_bytes=memory.argument_size_in_bytes,
        temporary_bytes=memory.temp_size_in_bytes,
        peak_bytes=device_memory.get("peak_bytes_in_use"),
        trace=trace,
    )
