"""The result of a survey, and how it is shown."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from levgen.architecture.schema import Architecture
from levgen.survey.evidence import Evidence, Unknown


@dataclass(frozen=True)
class Survey:
    """What a model is. `architecture` is None where a question has no answer, and where the rebuilt model differs.

    `errors`: relative error in fp32 of the rebuilt model's logits, for each config that it was rebuilt in.
    `stubbed`: where all that is unknown lies in modules of its own, the architecture around them. It was rebuilt too,
    with what the reference's modules give in their places.
    """

    model_type: str
    architecture: Architecture | None
    evidence: tuple[Evidence, ...]
    unknown: tuple[Unknown, ...]
    errors: tuple[float, ...] = ()
    gradient_error: float | None = None
    seconds: float = 0.0
    stubbed: Architecture | None = None

    @property
    def rebuilt(self) -> bool:
        return self.architecture is not None and bool(self.errors)

    def as_data(self) -> dict[str, Any]:
        """The survey as plain data: `from_data` is its inverse, but for candidates that JSON doesn't know."""
        from levgen.architecture.card import as_data

        cards = {
            name: None if card is None else as_data(card)
            for name, card in (("architecture", self.architecture), ("stubbed", self.stubbed))
        }
        return {**asdict(replace(self, architecture=None, stubbed=None)), **cards}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Survey":
        """The survey that `as_data` gave. Raises LevgenError where its card is none."""
        from levgen.architecture.card import parse_card

        source = f"the survey of {data['model_type']}"
        cards = {
            name: None if data.get(name) is None else parse_card(data[name], source=source)
            for name in ("architecture", "stubbed")
        }
        evidence = tuple(Evidence(**entry) for entry in data["evidence"])
        unknown = tuple(Unknown(**entry) for entry in data["unknown"])
        settled = {**cards, "evidence": evidence, "unknown": unknown, "errors": tuple(data["errors"])}
        return cls(**{**data, **settled})

    def text(self) -> str:
        """The card, the evidence and what is unknown, as text."""
        from levgen.architecture.card import dump_card

        lines = []
        card = self.architecture or self.stubbed
        if card is not None:
            lines += [dump_card(card).rstrip(), ""]
            errors = ", ".join(f"{error:.1e}" for error in self.errors)
            lines.append(f"rebuilt: logits {errors}; gradients {_number(self.gradient_error)} ({self.seconds:.0f} s)")
        lines += ["", "Evidence:"] if self.evidence else []
        lines += [f"  {_line(e)}" for e in self.evidence]
        lines += ["", "Unknown:"] if self.unknown else []
        lines += [f"  {u.question}: {u.observed}" + (f" [{u.where}]" if u.where else "") for u in self.unknown]
        return "\n".join(lines)


def _line(evidence: Evidence) -> str:
    error = "" if evidence.error is None else f" ({_number(evidence.error)})"
    runner_up = (
        "" if evidence.runner_up is None else f", next {evidence.runner_up} ({_number(evidence.runner_up_error)})"
    )
    return f"{evidence.question}: {evidence.chosen}{error}{runner_up}" + (
        f"; {evidence.probe}" if evidence.probe else ""
    )


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.1e}"
