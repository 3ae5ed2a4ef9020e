"""What the template of an MLP reads."""

from typing import TYPE_CHECKING

from levgen.scaffold.views.fields import NormField, PartView, Projection

if TYPE_CHECKING:
    from levgen.scaffold.views.port import PortView


def mlp_view(port: "PortView") -> PartView:
    """Its fields, and a key map where names differ."""
    answers = port.architecture.mlp
    key_map: dict[str, str | None] = {}
    bias, out_first, made = port.value(answers.bias, "config"), not answers.transposed, port.linear
    width = "SharedMlp" if port.architecture.moe.shared != "none" and not port.kinds.mixed else "Mlp"
    owner = "" if port.mlp_takes_axis else "config."
    if answers.kind == "plain":
        inner = [("up", f"{owner}{width}", f"Embed -> {width}")]
    elif answers.projections == "concat":
        inner = [("gate_up", f"(config.GateUp, {owner}{width})", f"Embed -> (GateUp, {width})")]
    else:
        inner = [(role, f"{owner}{width}", f"Embed -> {width}") for role in ("gate", "up")]
    specs = [(role, "config.Embed", outputs, shape, "std") for role, outputs, shape in inner]
    specs.append(("down", f"{owner}{width}", "config.Embed", f"{width} -> Embed", port.std_name("mlp")))
    projections = [
        Projection(port.field("mlp", role, key_map), role, inputs, outputs, shape, bias, std, out_first, made_by=made)
        for role, inputs, outputs, shape, std in specs
    ]
    norms = []
    if answers.inner_norm:
        name = port.field("mlp", "inner_norm", key_map)
        norms.append(NormField(name, "inner_norm", width, port.norm_init(f"{owner}{width}")))
    is_module = "activation" in port.architecture.unknown or port.learned_activation is not None
    act = port.field("mlp", "act", key_map) if is_module else "act"
    return PartView(projections, norms, key_map, act=act)
