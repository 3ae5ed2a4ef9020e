"""From `trainer.mesh` and the sizes of batches to a placement that fits, or problems with their lines."""

import contextlib
from collections.abc import Iterator

import jax

from levgen.training.mesh import MeshError, Placement, make_placement
from levgen.training.schema import MeshConfig, Trainer
from levgen.training.validate import Loaded, problems_error


def one_device() -> Placement:
    """Everything on the first device, whatever the YAML says."""
    return make_placement(MeshConfig(), jax.devices()[:1])


@contextlib.contextmanager
def mesh_problems(loaded: Loaded) -> Iterator[None]:
    """Gives a `MeshError` its place in the YAML."""
    try:
        yield
    except MeshError as error:
        problem = loaded.source.problem(("trainer", "mesh", error.key), error.message)
        raise problems_error(loaded.source.path, [problem]) from error


def yaml_placement(loaded: Loaded) -> Placement:
    """All devices, as `trainer.mesh` says."""
    with mesh_problems(loaded):
        return make_placement(loaded.config.trainer.mesh, jax.devices())


def microbatch_of(trainer: Trainer, placement: Placement) -> int | None:
    """The examples of one piece of gradient accumulation; None: the whole batch is computed at once."""
    wanted = trainer.per_device_parallelism
    return None if wanted == -1 else min(wanted * placement.batch_devices, trainer.train_batch_size)


def check_batch(loaded: Loaded, placement: Placement) -> None:
    """A batch is spread evenly over the devices, and cut evenly into the pieces that gradients are accumulated over."""
    trainer, devices = loaded.config.trainer, placement.batch_devices
    problems = []

    def report(key: str, message: str) -> None:
        problems.append(loaded.source.problem(("trainer", key), message))

    if trainer.train_batch_size % devices:
        lower = trainer.train_batch_size // devices * devices
        near = f"{lower} or {lower + devices}" if lower else str(devices)
        report("train_batch_size", f"{trainer.train_batch_size} can't be spread over {devices} devices: try {near}")
    elif trainer.train_batch_size % (microbatch_of(trainer, placement) or 1):
        piece = f"{trainer.per_device_parallelism} examples on each of {devices} devices"
        report("per_device_parallelism", f"a batch of {trainer.train_batch_size} can't be cut into pieces of {piece}")
    if problems:
        raise problems_error(loaded.source.path, problems)
