"""What the template of the layers before the output matrix reads."""

from typing import TYPE_CHECKING

from levgen.scaffold.views.fields import NormField, PartView, Projection, below, usable

if TYPE_CHECKING:
    from levgen.scaffold.views.port import PortView


def head_transform_view(port: "PortView") -> PartView:
    """What stands before the output matrix; names are those below the module that holds it in the checkpoint."""
    answers, prefix = port.architecture.head_transform, port.head_transform_prefix
    key_map: dict[str, str | None] = {}
    fields: dict[str, str] = {}
    for role in ("dense", "norm") if answers.norm else ("dense",):
        theirs = below(port.weight("head_transform", role) or role, prefix)
        fields[role] = theirs if usable(theirs) else role
        if fields[role] != theirs:
            key_map[fields[role]] = theirs
    axes, bias = ("config.Embed", "config.EmbedOut"), port.value(answers.bias, "config")
    dense = Projection(fields["dense"], "dense", *axes, "Embed -> EmbedOut", bias, "std", True, made_by=port.linear)
    norms = [NormField(fields["norm"], "norm", "Embed", port.norm_init("config.Embed"))] if answers.norm else []
    return PartView([dense], norms, key_map)
