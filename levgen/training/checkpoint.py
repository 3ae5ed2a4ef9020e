"""Checkpoints of a run, written by orbax: one folder a step, whole or not there at all.

The state is stored as a flat mapping from the path of each array to the array, and a JSON beside it says what the run
is: its step, seed, data and model. The data position and the PRNG key follow from the step and the seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax
import orbax.checkpoint as ocp

from levgen.errors import LevgenError
from levgen.training.schema import Checkpointer

State = TypeVar("State")

MOST_ARRAYS = 5  # of those that differ, in an error
PARAMS = ".params"  # what the names of a state's parameters begin with
FRESH = (
    "give the YAML and the --set of that run; `levgen train --fresh` starts over and keeps the old under another name"
)


class CheckpointError(LevgenError):
    """A checkpoint that is not there, can't be read or belongs to another run."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, in `folder`. Keeps the newest and those that `settings.keep` asks for."""

    folder: Path
    settings: Checkpointer

    def latest(self) -> int | None:
        """The step of the newest checkpoint, or None. Makes no folder."""
        if not self.folder.is_dir():
            return None
        with self._manager() as manager:
            step = manager.latest_step()
            return None if step is None else int(step)

    def save(self, step: int, state: Any, run: dict[str, Any]) -> None:
        """Writes `state` as it is after `step` steps, and `run`, a description of the run for `compare`."""
        arrays = _flat(state)
        described = {"run": run, "arrays": _shapes(arrays)}
        composite = ocp.args.Composite(state=ocp.args.StandardSave(arrays), run=ocp.args.JsonSave(described))
        with self._manager() as manager:
            if step not in manager.all_steps():
                manager.save(step, args=composite, force=True)
            manager.wait_until_finished()

    def compare(self, step: int, run: dict[str, Any]) -> None:
        """Checks that the checkpoint of step `step` was written with the same `run`.

        Raises:
            CheckpointError: listing every difference, or because the checkpoint can't be read.
        """
        written = self._read(step, run=ocp.args.JsonRestore())["run"]["run"]
        self._refuse(step, _differences("", {name: written.get(name) for name in run}, run))

    def restore(self, step: int, like: State) -> State:
        """The state of step `step`, as arrays shaped and placed like those of `like` (arrays, or their shapes).

        Raises:
            CheckpointError: the arrays have other names or shapes, or the checkpoint can't be read.
        """
        target = _flat(like)
        written = self._read(step, run=ocp.args.JsonRestore())["run"]["arrays"]
        self._refuse(step, _differences("array ", written, _shapes(target))[:MOST_ARRAYS])
        arrays = self._read(step, state=ocp.args.StandardRestore(target))["state"]
        restored: State = jax.tree.unflatten(jax.tree.structure(like), [arrays[name] for name in target])
        return restored

    def restore_params(self, step: int, like: State) -> State:
        """The parameters of step `step`, shaped like `like`, which is a state's `params`; the rest is not read.

        Raises:
            CheckpointError: the arrays have other names or shapes, or the checkpoint can't be read.
        """
        target = {f"{PARAMS}{name}": array for name, array in _flat(like).items()}
        written = self._read(step, run=ocp.args.JsonRestore())["run"]["arrays"]
        params = {name: shape for name, shape in written.items() if name.startswith(PARAMS)}
        self._refuse(step, _differences("array ", params, _shapes(target))[:MOST_ARRAYS])
        restore_args = ocp.checkpoint_utils.construct_restore_args(target)
        arguments = ocp.args.PyTreeRestore(target, restore_args=restore_args, partial_restore=True)
        arrays = self._read(step, state=arguments)["state"]
        restored: State = jax.tree.unflatten(jax.tree.structure(like), [arrays[name] for name in target])
        return restored

    def steps(self) -> list[int]:
        """The steps of all checkpoints, in order. Makes no folder."""
        if not self.folder.is_dir():
            return []
        with self._manager() as manager:
            return sorted(int(step) for step in manager.all_steps())

    def set_aside(self) -> Path | None:
        """Renames the folder of an earlier run, so that a new one can start in its place; returns the new name."""
        if not self.folder.exists():
            return None
        number = 1
        while (aside := self.folder.with_name(f"{self.folder.name}.{number}")).exists():
            number += 1
        self.folder.rename(aside)
        return aside

    def _manager(self) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(
            step_prefix="step",
            preservation_policy=_Preserve(self.settings),
            cleanup_tmp_directories=True,
            # The arrays are donated to the next step, so a save must have read them when it returns.
            enable_async_checkpointing=False,
        )
        return ocp.CheckpointManager(self.folder, options=options)

    def _read(self, step: int, **items: Any) -> Any:
        with self._manager() as manager:
            try:
                return manager.restore(step, args=ocp.args.Composite(**items))
            except (ValueError, KeyError, OSError) as error:
                reason = str(error).strip().splitlines()[0]
                raise CheckpointError(f"checkpoint {self.folder} step {step} can't be read: {reason}", FRESH) from error

    def _refuse(self, step: int, differences: list[str]) -> None:
        if differences:
            message = f"the checkpoint in {self.folder}, step {step}, is of another run:"
            raise CheckpointError("\n".join([message, *differences]), FRESH)


def _differences(what: str, then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return [f"  {what}{name}: {_shown(then.get(name))} then, {_shown(now.get(name))} now" for name in names]


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _shapes(arrays: dict[str, Any]) -> dict[str, str]:
    """`float32[4,2]` of each array."""
    return {name: f"{array.dtype}[{','.join(map(str, array.shape))}]" for name, array in arrays.items()}


@dataclass(frozen=True)
class _Preserve(ocp.checkpoint_managers.PreservationPolicy):  # type: ignore[misc]
    """The newest checkpoint, and those at the steps of `settings.keep`."""

    settings: Checkpointer

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        del context
        newest = max((checkpoint.step for checkpoint in checkpoints), default=None)
        return [checkpoint.step == newest or is_kept(checkpoint.step, self.settings) for checkpoint in checkpoints]


def is_kept(step: int, settings: Checkpointer) -> bool:
    """Whether `keep` asks for a checkpoint at `step` that stays for good."""
    for interval in settings.keep or []:
        if interval.until is None or step <= interval.until:
            return step % interval.every == 0
    return False


def _flat(state: Any) -> dict[str, Any]:
    """The arrays of `state` by their paths in it, in the order of its leaves.

    A NamedArray's own entry is left out of the path, because versions of haliax name it differently.
    """
    flat = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        inside_named = path and (
            isinstance(path[-1], jax.tree_util.FlattenedIndexKey) or getattr(path[-1], "name", None) == "array"
        )
        flat[jax.tree_util.keystr(path[:-1] if inside_named else path)] = leaf
    return flat
