"""What the templates read of a config's hyperparameters."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from levgen.scaffold.complete import hyperparameter_type
from levgen.scaffold.literals import literal, one_line_yaml, over_hf

if TYPE_CHECKING:
    from levgen.scaffold.views.port import PortView


@dataclass(frozen=True)
class HyperparameterView:
    """One line of the config class and one of its table of HF fields."""

    name: str
    type: str
    default: str  # Python source
    hf: str | None
    unset: str | None  # Python source of a lambda's body over `hf`
    tiny: str  # Python source, for tests
    full_yaml: str
    nano_yaml: str | None  # None where the default serves on a laptop too
    comment: str | None = None


def _partial(tiny: Any, default: Any) -> Any:
    """A rotation for tests turns a half of each head, where that at full size has a fraction."""
    rotates_a_part = isinstance(tiny, dict) and isinstance(default, dict) and "fraction" in default
    return {**tiny, "fraction": 0.5} if rotates_a_part else tiny


def _switches_of_computations(port: "PortView") -> set[str]:
    """The switches that are on in tests, where gradients are compared: all but those of biases, which compute nothing.

    That the model is right without, too, tests of other configs show.
    """
    return {name for answer, name in port.architecture.factors() if not answer.endswith("bias")} & {*port.switches}


def hyperparameter_views(port: "PortView") -> list[HyperparameterView]:
    """Those of the config of `port`, in order."""
    views = []
    computed = _switches_of_computations(port)
    for name, parameter in port.architecture.hyperparameters.items():
        spec = port.specs.get(name)
        kind = hyperparameter_type(name, parameter, port.specs)
        nano, tiny = (spec.nano, spec.tiny) if spec else (None, None)
        nano = nano if parameter.nano is None else parameter.nano
        tiny = _partial(tiny, parameter.default) if parameter.tiny is None else parameter.tiny
        tiny = True if tiny is None and name in computed else tiny
        views.append(
            HyperparameterView(
                name,
                kind,
                literal(parameter.default, kind),
                parameter.hf,
                None if parameter.unset is None else over_hf(parameter.unset),
                literal(parameter.default if tiny is None else tiny, kind),
                one_line_yaml(parameter.default),
                None if nano is None else one_line_yaml(nano),
                _reader_to_come(port, name),
            )
        )
    return views


def _reader_to_come(port: "PortView", name: str) -> str | None:
    """What says that only a stub will read a hyperparameter."""
    readers = [own for part, own in port.unknown.items() if name in port.architecture.unknown[part].reads]
    if not readers or any(re.search(rf"\b{name}\b", axis.size) for axis in port.axes):
        return None
    return f"levgen: ignore[LEV101] {readers[0].class_name}, which is to be written, reads it"
