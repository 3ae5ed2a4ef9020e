"""The answer to 'where does it first go wrong, and why'."""

from dataclasses import dataclass

# Places that are no modules of the reference.
_NAMES = {"<embeddings>": "what enters the first layer", "<hidden>": "what enters the head", "<logits>": "the logits"}


@dataclass(frozen=True)
class Divergence:
    """The first module whose inputs agree with the reference's and whose output doesn't.

    module: the class in the model's file that is at fault. path: the module's name in the reference.
    seen: how it differs, and where. cause: what explains it, and None where nothing that was tried does.
    explained: the share of the difference that vanishes with the edit. line, edit: that edit, as (before, after).
    """

    module: str
    path: str
    seen: str
    cause: str | None = None
    kind: str | None = None
    explained: float = 0.0
    line: int | None = None
    edit: tuple[str, str] | None = None
    tried: int = 0

    def lines(self) -> list[str]:
        """What a person reads."""
        told = [f"{self.module}: {self.seen}", f"in the reference: {_NAMES.get(self.path, self.path)}"]
        if self.cause is None:
            return [*told, f"no known cause explains it ({self.tried} edits were tried)"]
        told.append(f"{self.cause} (explains {100 * self.explained:.0f}% of the difference)")
        if self.edit is not None and self.line is not None:
            told += [f"line {self.line}:  {self.edit[0]}", f"{' ' * len(f'line {self.line}')}-> {self.edit[1]}"]
        return told

    def as_data(self) -> dict[str, object]:
        """Plain data, for JSON and the report."""
        return {**vars(self), "edit": list(self.edit) if self.edit else None}
