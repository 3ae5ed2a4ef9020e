"""What the sections of the training YAML's schema have in common. Needs pydantic only."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

SERVED = "the local engine hasn't got it: `--engine levanter` serves it"


class Section(BaseModel):
    """A section of the YAML: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def levanter_only(what: str) -> PydanticCustomError:
    """A value that is Levanter's and not the local engine's."""
    return PydanticCustomError("levanter_only", "{what}: {served}", {"what": what, "served": SERVED})


def wrong(message: str) -> PydanticCustomError:
    """A value that is nobody's."""
    return PydanticCustomError("wrong_value", "{message}", {"message": message})


def never_a(kind: type, what: str) -> BeforeValidator:
    """Values of the type `kind`, which mean `what`, are Levanter's alone."""

    def check(value: Any) -> Any:
        if isinstance(value, kind):
            raise levanter_only(what)
        return value

    return BeforeValidator(check)


def default_type(kind: str) -> Callable[[Any], Any]:
    """For a section whose `type` may be left out, or that may be its type's name alone."""

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            return {"type": value}
        return {"type": kind, **value} if isinstance(value, dict) else value

    return fill


def _steps_or_fraction(value: float) -> float:
    if value > 1 and value % 1:
        raise wrong(f"expected a fraction of the run (0 to 1) or a whole number of steps, got {value}")
    return value


Positive = Annotated[int, Field(gt=0)]
StepsOrFraction = Annotated[float, Field(ge=0), AfterValidator(_steps_or_fraction)]
PositiveFloat = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
