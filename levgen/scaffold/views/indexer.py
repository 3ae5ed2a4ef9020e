"""What the template of an indexer reads: the maps and the norm of a small attention that chooses keys."""

from typing import TYPE_CHECKING

from levgen.scaffold.views.fields import NormField, PartView, Projection

if TYPE_CHECKING:
    from levgen.scaffold.views.port import PortView

# (role, inputs, outputs over `config`, shape)
_MAPS = (
    ("q", "config.QLatent", "(config.IndexHeads, config.IndexHeadSize)", "QLatent -> (IndexHeads, IndexHeadSize)"),
    ("k", "config.Embed", "config.IndexHeadSize", "Embed -> IndexHeadSize"),
    ("weights", "config.Embed", "config.IndexHeads", "Embed -> IndexHeads"),
)


class IndexerView(PartView):
    """The indexer of a port with latent attention."""

    def __init__(self, port: "PortView") -> None:
        super().__init__()
        answers = port.architecture.attention
        self._layout = answers.indexer_layout
        self.projections = [
            Projection(port.field("indexer", role, self.key_map), role, inputs, outputs, axes, "False", "std", True)
            for role, inputs, outputs, axes in _MAPS
        ]
        eps = answers.indexer_norm_eps
        own = "" if eps == port.architecture.norm.eps else "  # whatever norm_eps is"
        self.key_eps = f"{port.value(eps, 'config')}{own}"
        call = "LayerNorm.init(config.IndexHeadSize, eps=key_eps)"
        self.norms = [NormField(port.field("indexer", "k_norm", self.key_map), "k_norm", "IndexHeadSize", call)]

    @property
    def body(self) -> list[str]:
        """The statements of the forward."""
        q, k, weights = (projection.field for projection in self.projections)
        [norm] = self.norms
        layout = "" if self._layout == "half" else f', layout="{self._layout}"'
        turned = f"turned_first(config.rope, part, pos_ids, config.IndexHeadSize, config.RopeHeadSize{layout})"
        axes = "Heads=config.IndexHeads, HeadSize=config.IndexHeadSize, Chosen=config.ChosenKeys"
        return [
            "config = self.config",
            f"parts = self.{q}(q_latent), self.{norm.field}(self.{k}(x))",
            f"q, k = ({turned} for part in parts)",
            f"return chosen_keys(q, k, self.{weights}(x), mask, {axes})",
        ]
