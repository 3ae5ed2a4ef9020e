"""What the template of an unknown module reads: its fields, how fresh ones are made, and what to say of it."""

import textwrap
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from levgen.architecture.schema import UnknownPart, UnknownWeight
from levgen.scaffold.parts import attribute, class_name
from levgen.scaffold.views.fields import shape

if TYPE_CHECKING:
    from levgen.scaffold.views.port import PortView

_WHAT: dict[UnknownPart, str] = {
    "activation": "The activation of the MLP",
    "mlp": "The channel block",
    "attention": "What mixes positions",
    "mixer": "What stands in the place of attention in some layers",
    "decoder_layer": "One layer, residuals and all",
}
_WIDTH = 110  # of lines in a docstring, indented


@dataclass(frozen=True)
class UnknownField:
    """One field of the class: its annotation, what to say beside it, and the call that makes a fresh one."""

    name: str
    type: str
    comment: str
    init: str
    key: str | None  # the variable with its key


class UnknownView:
    """The unknown `part` of `port`."""

    def __init__(self, port: "PortView", part: UnknownPart) -> None:
        self.part = part
        self._port = port
        self._own = port.architecture.unknown[part]
        self.what = _WHAT[part]
        self.class_name = class_name(part, port.Name)
        self.axis = "Mlp" if part == "activation" else "Embed"
        self.key_map: dict[str, str | None] = {}
        self.fields = [*self._linear(), *self._arrays()]

    @property
    def parameters(self) -> str:
        """Parameters of its forward, after `x`."""
        told = self.part in ("attention", "mixer")
        return (
            self._port.attention_parameters
            if told
            else self._port.layer_parameters
            if self.part == "decoder_layer"
            else ""
        )

    @property
    def keys(self) -> list[str]:
        return [field.key for field in self.fields if field.key is not None]

    @cached_property
    def needs_std(self) -> bool:
        return any("std=std" in field.init or "* std" in field.init for field in self.fields)

    @cached_property
    def needs_residual_std(self) -> bool:
        return any("residual_std" in field.init for field in self.fields)

    @property
    def path(self) -> str:
        """The reference's module, with `{}` for the number of the layer."""
        view = self._port
        if self.part == "decoder_layer":
            return ".".join(step for step in (view.weight("transformer", "layers"), "{}") if step)
        below = [view.weight("decoder_layer", "mlp" if self.part == "activation" else self.part)]
        below += [view.weight("mlp", "act")] if self.part == "activation" else []
        return ".".join(step for step in (view.weight("transformer", "layers"), "{}", *below) if step)

    def as_data(self, file: str) -> dict[str, str]:
        """The stub as plain data: which class in which `file`, in the place of what, what was observed and where."""
        data = {"class": self.class_name, "file": file, "module": self.path.format("*")}
        return {**data, "observed": self._own.observed, "where": self._own.where}

    @property
    def untrained(self) -> list[str]:
        """The fields of what the reference keeps in buffers."""
        by_name = {name: ours for ours, name in self.key_map.items()}
        return [by_name.get(weight.name, weight.name) for weight in self._own.weights if not weight.trained]

    @property
    def tensors(self) -> list[tuple[str, str]]:
        """(name below the module, axes) of all that it holds whatever its switches are."""
        by_name = {weight.name: weight for weight in self._own.weights if weight.when is None}
        held = []
        for name, weight in by_name.items():
            axes = list(weight.axes)
            module, _, kind = name.rpartition(".")
            if kind == "bias" and module in self._own.linear:
                out_first = self._own.linear[module]
                axes = [by_name[f"{module}.weight"].axes[0 if out_first else -1]]
            held.append((name, ", ".join(attribute(axis) for axis in axes)))
        return held

    @cached_property
    def doc_lines(self) -> list[str]:
        """What was observed, and where, as lines of a docstring."""
        seen = textwrap.wrap(self._own.observed, _WIDTH, initial_indent="Observed:  ", subsequent_indent=" " * 11)
        return [*seen, *([f"Reference: {self._own.where}"] if self._own.where else [])]

    @cached_property
    def message_lines(self) -> list[str]:
        """The error's text, in pieces that fit a line."""
        where = f" In the reference: {self._own.where}" if self._own.where else ""
        observed = self._own.observed if self._own.observed.endswith(".") else f"{self._own.observed}."
        text = f"{self.class_name}.__call__ is to be written: {observed}{where}"
        return textwrap.wrap(text, 100, drop_whitespace=False)

    # Fields -----------------------------------------------------------------------------------------------------

    def _linear(self) -> list[UnknownField]:
        by_name = {weight.name: weight for weight in self._own.weights}
        fields = []
        for module, out_first in self._own.linear.items():
            weight, bias = by_name[f"{module}.weight"], by_name.get(f"{module}.bias")
            axes = [attribute(axis) for axis in weight.axes]
            inputs, outputs = reversed(axes) if out_first else axes
            name = self._field(module)
            use_bias = "False" if bias is None else "True" if bias.when is None else f"config.{bias.when}"
            layout = "" if out_first else ", out_first=False"
            init = (
                f"Linear.init(config.{inputs}, config.{outputs}, key=k_{name}, std={_std(weight)}, "
                f"use_bias={use_bias}{layout})"
            )
            fields.append(UnknownField(name, "Linear", f"{inputs} -> {outputs}", init, f"k_{name}"))
        return fields

    def _arrays(self) -> list[UnknownField]:
        held = {f"{module}.{kind}" for module in self._own.linear for kind in ("weight", "bias")}
        fields = []
        for weight in self._own.weights:
            if weight.name in held:
                continue
            name = self._field(weight.name)
            axes = [attribute(axis) for axis in weight.axes]
            over = shape([f"config.{axis}" for axis in axes]) if axes else "()"
            comment = (shape(axes) if axes else "one number") + (
                "" if weight.trained else "; a buffer of the reference: stop its gradient"
            )
            if weight.constant:
                made = {0.0: f"hax.zeros({over})", 1.0: f"hax.ones({over})"}
                init = made.get(float(weight.fresh), f"hax.full({over}, {float(weight.fresh)!r})")
                fields.append(UnknownField(name, "NamedArray", comment, init, None))
            else:
                mean = f" + {weight.mean!r}" if weight.mean else ""
                init = f"hax.random.normal(k_{name}, {over}) * {_std(weight)}{mean}"
                fields.append(UnknownField(name, "NamedArray", comment, init, f"k_{name}"))
        return fields

    def _field(self, theirs: str) -> str:
        from levgen.scaffold.views.fields import usable

        ours = theirs if usable(theirs) else f"{theirs.replace('.', '_').lstrip('_')}"
        ours = ours if usable(ours) else f"its_{ours}"
        if ours != theirs:
            self.key_map[ours] = theirs
        return ours


def _std(weight: UnknownWeight) -> str:
    if weight.fresh == "inputs":
        return f"(3 * {' * '.join(f'config.{attribute(axis)}.size' for axis in weight.axes[1:])}) ** -0.5"
    return {"initializer_range": "std", "residual": "residual_std"}.get(str(weight.fresh), repr(weight.fresh))
