"""Which kinds of layers a model has, where layers hold unlike things, and how its file tells them apart."""

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from levgen.scaffold.views.port import PortView


class KindsView:
    """The kinds of a port's layers."""

    def __init__(self, port: "PortView") -> None:
        self._port = port
        self._architecture = port.architecture

    @cached_property
    def mixed(self) -> bool:
        """Whether some layers have experts and others an MLP."""
        return self._architecture.moe.mixed

    @cached_property
    def two(self) -> tuple[str, str, str] | None:
        """Where layers hold unlike things: the config's property with the kind of each, and the two kinds of layers."""
        if self.mixed:
            return "mlp_layer_types", "sparse", "dense"
        if self._architecture.layer.mixer != "none":
            return "mixer_kinds", "attention", "mixer"
        odd = self._architecture.layer.odd
        others = {"first": "later", "last": "earlier"}
        return None if odd is None else ("layer_kinds", odd, others[odd])

    @cached_property
    def of_layers(self) -> str | None:
        """The config's property with the kind of each layer, where layers hold unlike things; else None."""
        if self._architecture.attention.uneven:
            return "layer_kinds" if self.mixed else "layer_types"
        if self._port.hands_choice_on:
            return "layer_kinds" if self.mixed else "indexers"
        return None if self.two is None else self.two[0]

    @cached_property
    def in_pairs(self) -> bool:
        """Whether a layer's kind is a pair: that of its attention, by its window or indexer, and that of its MLP."""
        return (self._architecture.attention.uneven or self._port.hands_choice_on) and self.mixed

    @property
    def sparse_when(self) -> str:
        """Whether a layer of the kind `kind` has experts, in Python."""
        return 'mlp == "sparse"' if self.in_pairs else 'kind == "sparse"'

    @property
    def windowed_when(self) -> str:
        """Whether a layer of the kind `kind` has a window, in Python."""
        return f'{"window" if self.in_pairs else "kind"} == "sliding_attention"'

    @property
    def chooses_when(self) -> str:
        """Whether a layer of the kind `kind` has an indexer, in Python."""
        return f'{"indexer" if self.in_pairs else "kind"} == "full"'

    def having(self, answer: str) -> tuple[str | None, str]:
        """(whether a layer of the kind `kind` has what `answer` is about, in Python; the same in words).

        None and no words where every layer has it.
        """
        layer = self._architecture.layer
        which: str | None = layer.in_some.get(answer)
        if answer == "mlp_output_norm" and layer.mlp_output_norm != "none":
            which = layer.mlp_output_norm
        if which is None or self.two is None:
            return None, ""
        _, odd, other = self.two
        if which == odd:
            return (
                self.sparse_when if self.mixed else f'kind == "{odd}"',
                f"in {odd} layers only" if self.mixed else f"in the {odd} layer only",
            )
        return f'kind == "{other}"', f"not in the {odd} layer"
