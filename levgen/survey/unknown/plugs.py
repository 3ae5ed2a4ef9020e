"""Something known in the place of a module that nothing known explains, so that all else can be asked about.

A hole is such a module, one in each layer. A plug has its place, its width and its way of giving results, and nothing
of what it computes: what a survey of a plugged model finds is true of all that lies around the hole.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from levgen.architecture.schema import UnknownPart
from levgen.reference.record import first_float
from levgen.survey.evidence import Unknown

_PROBE = 3  # positions: enough to see widths
_HEADS, _HEAD_DIM, _INNER = 3, 8, 40  # of plugs: no field of a config drives them


@dataclass(frozen=True)
class Hole:
    """A module that is unknown. `below`: its name below a layer, "" for the layer itself. `unknown`: what was seen."""

    part: UnknownPart
    below: str
    unknown: Unknown = field(default=Unknown("", ""))

    def is_in(self, layer: Any) -> bool:
        """Whether a layer has it: some may have something else in its place."""
        return not self.below or any(name == self.below for name, _ in layer.named_modules())

    def path(self, stack: str, layer: int | str) -> str:
        """Its name in the model, in one layer of `stack`."""
        return f"{stack}.{layer}" + (f".{self.below}" if self.below else "")


@dataclass(frozen=True)
class Plugs:
    """`holes` in the layers of `stack`, each to be filled with a plug."""

    stack: str
    holes: tuple[Hole, ...]

    def of(self, part: UnknownPart) -> Hole | None:
        """The hole that is the model's `part`."""
        return next((hole for hole in self.holes if hole.part == part), None)

    def layers(self, model: Any, hole: Hole) -> list[int]:
        """The numbers of the layers that have `hole`."""
        children = model.get_submodule(self.stack).named_children()
        return [int(number) for number, layer in children if hole.is_in(layer)]

    def owns(self, parameter: str) -> bool:
        """Whether a parameter of a plugged model belongs to a plug."""
        _, _, rest = parameter.removeprefix(f"{self.stack}.").partition(".")
        inside = parameter.startswith(f"{self.stack}.")
        return inside and any(f"{rest}.".startswith(f"{hole.below}.") or not hole.below for hole in self.holes)

    def fill(self, model: Any) -> None:
        """Replaces the modules in `model`, which needs to run as it is."""
        paths = {
            hole.path(self.stack, number): hole
            for number, layer in model.get_submodule(self.stack).named_children()
            for hole in self.holes
            if hole.is_in(layer)
        }
        seen = _widths(model, list(paths))
        for path, hole in paths.items():
            above, _, name = path.rpartition(".")
            original = model.get_submodule(path)
            width, rest = seen[path]
            setattr(model.get_submodule(above), name, _plug_class(hole.part)(original, width, rest))


def unplugged(said: Any) -> Any:
    """A text without the names of modules in plugs: those of the modules that they stand for."""
    return re.sub(r"\.plug_[a-z]+", "", said) if isinstance(said, str) else said


def _widths(model: Any, paths: list[str]) -> dict[str, tuple[int, int | None]]:
    """By path, the width of what a module gives, and how many results come beside it (None: it gives no tuple)."""
    import torch

    from levgen.reference.randomize import token_ids
    from levgen.reference.sizing.values import VOCAB

    seen: dict[str, tuple[int, int | None]] = {}

    def hook(path: str) -> Any:
        def after(module: Any, args: Any, output: Any) -> None:
            rest = len(output) - 1 if isinstance(output, tuple) else None
            seen[path] = first_float(output).shape[-1], rest

        return after

    handles = [model.get_submodule(path).register_forward_hook(hook(path)) for path in paths]
    try:
        with torch.no_grad():
            model.eval()(token_ids(VOCAB, _PROBE))
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _plug_class(part: UnknownPart) -> Any:
    """The plug for a part, as a class of modules made from (the original, its width, how many results beside)."""
    import torch
    from torch import nn

    class Plug(nn.Module):
        def __init__(self, original: Any, width: int, rest: int | None) -> None:
            super().__init__()
            # In a tuple, so that it is no part of this module: what others read off it is still there.
            self.original, self.rest = (original,), rest

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(self.__dict__["original"][0], name)

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            out = self.computed(first_float([*args, *kwargs.values()]))
            return out if self.rest is None else (out, *[None] * self.rest)

    class Activation(Plug):
        def computed(self, x: Any) -> Any:
            return nn.functional.silu(x)

    class Mlp(Plug):
        def __init__(self, original: Any, width: int, rest: int | None) -> None:
            super().__init__(original, width, rest)
            self.plug_up = nn.Linear(width, _INNER, bias=False)
            self.plug_down = nn.Linear(_INNER, width, bias=False)

        def computed(self, x: Any) -> Any:
            return self.plug_down(nn.functional.silu(self.plug_up(x)))

    class Attention(Plug):
        def __init__(self, original: Any, width: int, rest: int | None) -> None:
            super().__init__(original, width, rest)
            inner = _HEADS * _HEAD_DIM
            self.plug_q, self.plug_k, self.plug_v = (nn.Linear(width, inner, bias=False) for _ in "qkv")
            self.plug_o = nn.Linear(inner, width, bias=False)

        def computed(self, x: Any) -> Any:
            rows = x if x.dim() == 3 else x[None]  # some references flatten a batch of one
            q, k, v = (
                project(rows).unflatten(-1, (_HEADS, _HEAD_DIM)).transpose(1, 2)
                for project in (self.plug_q, self.plug_k, self.plug_v)
            )
            length = rows.shape[1]
            later = torch.ones(length, length, dtype=torch.bool).triu(1)
            scores = (q @ k.mT / _HEAD_DIM**0.5).masked_fill(later, float("-inf"))
            attended = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
            return self.plug_o(attended).reshape(x.shape)

    class DecoderLayer(Attention):
        def computed(self, x: Any) -> Any:
            return x + super().computed(x)

    class Mixer(Attention):
        stands_for_mixer = True  # by which a layer is told from those with attention

    plugs: dict[UnknownPart, Any] = {
        "activation": Activation,
        "mlp": Mlp,
        "attention": Attention,
        "mixer": Mixer,
        "decoder_layer": DecoderLayer,
    }
    return plugs[part]
