"""What the template of a norm with a gate on it reads."""

from typing import TYPE_CHECKING

from levgen.scaffold.views.fields import NormField, PartView, Projection

if TYPE_CHECKING:
    from levgen.scaffold.views.port import PortView


def gated_norm_view(port: "PortView") -> PartView:
    """A norm of a layer with a gate on it."""
    key_map: dict[str, str | None] = {}
    norm = NormField(port.field("gated_norm", "norm", key_map), "norm", "Embed", port.norm_init("config.Embed"))
    maps = [("down", "config.Embed", "config.NormGate"), ("up", "config.NormGate", "config.Embed")]
    projections = [
        Projection(
            port.field("gated_norm", role, key_map),
            role,
            inputs,
            outputs,
            f"{inputs} -> {outputs}".replace("config.", ""),
            "False",
            "std",
            True,
            made_by=port.linear,
        )
        for role, inputs, outputs in maps
    ]
    return PartView(projections, [norm], key_map)
