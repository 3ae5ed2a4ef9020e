"""How far a model is proven, as its record says, and whether that is about the files as they are now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from levgen.environment import installed_version
from levgen.prove.ladder import AROUND, LADDER, LEVELS, MUTATIONS, Climbed, Rung
from levgen.prove.outcome import Status
from levgen.prove.subject import Files
from levgen.scaffold.files import PlannedFile, plan_files
from levgen.scaffold.record import read_record_data, with_proof

# What a proof depends on beside the files.
_PACKAGES = ("levgen", "transformers", "torch", "jax", "marin-haliax", "equinox")
_ALWAYS = LEVELS[0]
_NEVER_REQUIRED = ("real checkpoint",)


@dataclass(frozen=True)
class State:
    """The proof in a record.

    rungs: name -> {status, figure, reason, stale}. files, versions: what the newest results are about.
    """

    rungs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def stale(self, files: Files) -> set[str]:
        """The rungs whose results are about other files or versions than there are now."""
        if not self.rungs:
            return set()
        if dict(self.files) != files.hashes() or dict(self.versions) != versions():
            return set(self.rungs)
        return {name for name, result in self.rungs.items() if result.get("stale")}

    def levels(self) -> list[str]:
        """The levels that are reached, lowest first: all the rungs of each passed, and of those below it."""
        reached = [_ALWAYS]
        for level in LEVELS[1:]:
            own = [rung for rung in (*LADDER, MUTATIONS) if rung.level == level]
            if all(self._holds(rung) for rung in own):
                reached.append(level)
            elif level not in _NEVER_REQUIRED:
                break
        return reached

    def _holds(self, rung: Rung) -> bool:
        status = self.rungs.get(rung.name, {}).get("status")
        return status == Status.PASSED or (rung.optional and status == Status.SKIPPED)

    def updated(self, climbed: Iterable[Climbed], files: Files) -> "State":
        """The state after a run; results of rungs that weren't in it are kept, stale if they were about other files."""
        stale = self.stale(files)
        rungs = {
            name: {**result, "stale": True} if name in stale else dict(result) for name, result in self.rungs.items()
        }
        if AROUND.name in stale:
            del rungs[AROUND.name]  # the stubs may be written by now, and it is never climbed again
        for step in climbed:
            outcome = step.outcome
            said = {"figure": outcome.figure, "reason": outcome.reason}
            rungs[step.rung.name] = {"status": str(outcome.status), **{key: text for key, text in said.items() if text}}
        order = [rung.name for rung in (*LADDER, AROUND, MUTATIONS)]
        ordered = {name: rungs[name] for name in order if name in rungs}
        return State(ordered, files.hashes(), versions())

    def as_data(self) -> dict[str, Any]:
        """The state as plain data, as the record holds it."""
        return {"files": dict(self.files), "versions": dict(self.versions), "rungs": {**self.rungs}}


def versions() -> dict[str, str]:
    """The installed versions that a proof depends on; imports none of them."""
    found = {name: installed_version(name) for name in _PACKAGES}
    return {name: version for name, version in found.items() if version is not None}


def read_state(files: Files) -> State:
    """The state in a model's record; an empty one where there is no record, or no proof in it."""
    proof = read_record_data(files.record).get("proof")
    if not isinstance(proof, dict) or not isinstance(proof.get("rungs"), dict):
        return State()
    return State(proof["rungs"], proof.get("files") or {}, proof.get("versions") or {})


def write_state(files: Files, state: State) -> bool:
    """Writes the state into the record. False, and nothing is written, for a model without one."""
    if not files.record.is_file():
        return False
    before = files.record.read_text(encoding="utf-8").replace("\r\n", "\n")
    after = with_proof(before, status=state.levels()[-1], proof=state.as_data())
    plan_files(files.project.root, [PlannedFile(f".levgen/{files.name}.yaml", after, replaces=before)]).write()
    return True
