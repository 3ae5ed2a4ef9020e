"""What the steps of a layer say of an architecture: names of the checkpoint, numbers, norms."""

from typing import Any

from levgen.architecture.answers import Factor, Switch
from levgen.architecture.schema import Architecture
from levgen.scaffold.dataflow.steps import Step
from levgen.scaffold.names import model_name
from levgen.scaffold.views.port import PortView

UNKNOWN = "unknown: no experiment explains what it computes"


class Words:
    """`values`: the defaults of hyperparameters."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.view = PortView(architecture, model_name("drawn"))
        self.values: dict[str, Any] = {name: p.default for name, p in architecture.hyperparameters.items()}

    @property
    def by_layer_window(self) -> bool:
        """Whether some layers have a window and others none."""
        return self.architecture.attention.window in ("by_layer", "by_run")

    @property
    def by_layer_rope(self) -> bool:
        """Whether some layers rotate and others don't, or by another theta."""
        return self.architecture.positions.kind == "rotary" and (
            self.architecture.positions.layers != "every" or self.architecture.positions.local_rope
        )

    def weight(self, part: str, role: str) -> str:
        """What plays `role` in `part`, by its name in the checkpoint where it has one."""
        return self.view.weight(part, role) or role

    @property
    def bare_norm(self) -> str:
        """A norm without parameters."""
        return f"{'RMS' if self.architecture.norm.kind == 'rms' else 'layer'} norm, without a gain"

    @property
    def norm(self) -> str:
        """The usual norm."""
        norm = self.architecture.norm
        said = ["RMS norm" if norm.kind == "rms" else "layer norm"]
        said += [] if norm.weight else ["without a gain"]
        said += ["gain 1 + weight"] if norm.offset else []
        return ", ".join([*said, *(["with a bias"] if norm.bias else [])])

    def bias(self, switch: Switch) -> str:
        """The end of a sentence about a linear map."""
        if isinstance(switch, str):
            return f", with a bias if {switch}"
        return ", with a bias" if switch else ""

    def said(self, factor: Factor) -> str:
        """A factor with its value: `nudge (0.5)`, `head_dim**-0.5`, `0.125`."""
        if not isinstance(factor, str):
            return f"{factor:g}"
        value = self.values.get(factor)
        return factor if value is None else f"{factor} ({value:g})" if not isinstance(value, str) else value

    def times(self, factor: Factor) -> str:
        """A step's name: a product with `factor`."""
        return f"* {self.said(factor)}"

    def softcap(self, cap: Factor) -> Step:
        """The step that keeps scores or logits within `cap`."""
        return Step(f"soft cap ±{self.said(cap)}")
