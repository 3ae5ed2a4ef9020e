"""What the template of a decoder layer reads: its blocks and norms, what feeds what, and how it is told in words."""

from functools import cached_property
from typing import TYPE_CHECKING, Literal

from levgen.scaffold.views.fields import NormField, PartView

if TYPE_CHECKING:
    from levgen.scaffold.views.port import PortView


class LayerView(PartView):
    """A decoder layer of a port."""

    def __init__(self, port: "PortView") -> None:
        super().__init__()
        self._port = port
        self._architecture = port.architecture
        for role in (*self.blocks, *self.mixers):
            port.field("decoder_layer", role, self.key_map)
        self.norms = [self._norm(role) for role in self.norm_roles]
        if self.added_bias is not None:
            port.field("decoder_layer", "added_bias", self.key_map)
        if self.shared_beside is not None:
            port.field("decoder_layer", "shared", self.key_map)

    def _norm(self, role: str) -> NormField:
        name = self._port.field("decoder_layer", role, self.key_map)
        when, remark = self._port.kinds.having(role)
        return NormField(name, role, "Embed", self._norm_init(role), when, remark, self._norm_class(role))

    def norm_gate(self, role: str) -> str:
        """In which layers the norm `role` of a layer has a gate: none, every, or sparse."""
        part, gates = role.removesuffix("_norm"), self._architecture.norm_gate
        return {"attention": gates.attention, "mlp": gates.mlp}.get(part, "none")

    def _norm_init(self, role: str) -> str:
        """The call that makes a norm of a layer."""
        plain, gated = self._port.norm_init("config.Embed"), f"{self._port.Name}GatedNorm.init(config, key=k_{role})"
        in_sparse = f"{gated} if {self._port.kinds.sparse_when} else {plain}"
        return {"none": plain, "every": gated, "sparse": in_sparse}[self.norm_gate(role)]

    def _norm_class(self, role: str) -> str | None:
        where = self.norm_gate(role)
        gated = f"{self._port.Name}GatedNorm"
        return {"none": None, "every": gated, "sparse": f"{gated} | {self._port.norm_class}"}[where]

    @cached_property
    def keys(self) -> list[str]:
        """The parts of a layer that draw numbers."""
        gated = [role for role in self.norm_roles if self.norm_gate(role) != "none"]
        blocks = [part for part in ("attention", *self.mixers, "mlp") if part in (*self.blocks, *self.mixers)]
        return [*blocks, *(["shared"] if self.shared_beside is not None else []), *gated]

    @cached_property
    def added_bias(self) -> str | None:
        """The field of a bias that a layer adds to what attention puts out."""
        return (
            None
            if self._architecture.layer.added_bias == "none"
            else self._port.field("decoder_layer", "added_bias", {})
        )

    @cached_property
    def shared_beside(self) -> str | None:
        """The field of an MLP that a layer adds to what its experts give."""
        return self._port.field("decoder_layer", "shared", {}) if self._architecture.moe.shared_beside else None

    @cached_property
    def blocks(self) -> tuple[Literal["attention", "mlp"], ...]:
        """What a layer adds to the stream, in order: nothing that is known of one that is unknown."""
        if "decoder_layer" in self._architecture.unknown:
            return ()
        return ("attention", "mlp") if self._architecture.layer.mlp else ("attention",)

    @cached_property
    def mixers(self) -> tuple[Literal["mixer"], ...]:
        """What stands in the place of attention in some layers."""
        return () if self._architecture.layer.mixer == "none" else ("mixer",)

    @cached_property
    def norm_roles(self) -> list[str]:
        layer = self._architecture.layer
        if not self.blocks:
            return []
        if not layer.mlp:
            return ["attention_norm"]
        if layer.parallel == "shared":
            return ["attention_norm"]
        after_experts = [] if layer.mlp_output_norm == "none" else ["mlp_output_norm"]
        return {
            "pre": ["attention_norm", "mlp_norm", *after_experts],
            "post": ["attention_norm", "mlp_norm"],
            "sandwich": ["attention_norm", "attention_output_norm", "mlp_norm", "mlp_output_norm"],
            "output": ["attention_output_norm", "mlp_output_norm"],
        }[layer.norms]

    @cached_property
    def fields(self) -> dict[str, str]:
        """Role -> field of a decoder layer."""
        roles = (*self.blocks, *self.mixers, *self.norm_roles)
        return {role: self._port.field("decoder_layer", role, {}) for role in roles}

    @cached_property
    def body(self) -> list[str]:
        """The statements of a decoder layer's forward."""
        factor = self._architecture.layer.residual_scale
        if isinstance(factor, str) and " * " in factor:
            lines = [f"scale = {self._port.value(factor)}", *self._sums(" * scale")]
        else:
            lines = self._sums("" if factor is None else self._port.times(factor))
        return ["x, chosen = stream", *lines[:-1], f"{lines[-1]}, chosen"] if self._port.hands_choice_on else lines

    def _sums(self, scale: str) -> list[str]:
        """The same, with the end of a product that multiplies what a block adds."""
        layer, fields = self._architecture.layer, self.fields
        lines: list[str] = []

        def norm(role: str, x: str) -> str:
            """`x` after a norm, or as it is where no layer has that one; what some layers have takes a statement."""
            call = f"self.{fields[role]}({x})" if role in fields else x
            if self._port.kinds.having(role)[0] is None:
                return call
            if role == "mlp_output_norm":
                lines.extend((f"mixed = {x}", f"if self.{fields[role]} is not None:"))
                lines.append(f"    mixed = self.{fields[role]}(mixed)")
                return "mixed"
            name = f"to_{role.removesuffix('_norm')}"
            lines.append(f"{name} = {x} if self.{fields[role]} is None else {call}")
            return name

        def attention(x: str) -> str:
            call, bias = f"self.{fields['attention']}({x}{self._port.attention_arguments})", self.added_bias
            if self._port.hands_choice_on:
                lines.append(
                    f"attended, chosen = self.{fields['attention']}({x}, chosen{self._port.attention_arguments})"
                )
                call = "attended"
            if "mixer" in fields:
                own, other = f"self.{fields['attention']}", f"self.{fields['mixer']}"
                given, arguments = (x, "") if x.isidentifier() else ("h", f"h = {x}")
                lines.extend([arguments] if arguments else [])
                lines.extend(
                    (f"if {own} is not None:", f"    attended = {own}({given}{self._port.attention_arguments})")
                )
                lines.extend(
                    (f"if {other} is not None:", f"    attended = {other}({given}{self._port.attention_arguments})")
                )
                return "attended"
            if bias is None:
                return call
            if self._port.kinds.having("added_bias")[0] is None:
                lines.append(f"attended = {call} + self.{bias}")
            else:
                lines.extend((f"attended = {call}", f"if self.{bias} is not None:"))
                lines.append(f"    attended = attended + self.{bias}")
            return "attended"

        def mlp(x: str) -> str:
            shared = self.shared_beside
            if shared is None:
                return f"self.{fields['mlp']}({x})"
            given, named = (x, []) if x.isidentifier() else ("to_mlp", [f"to_mlp = {x}"])
            if not self._architecture.moe.shared_optional:
                lines.extend((*named, f"mixed = self.{fields['mlp']}({given}) + self.{shared}({given})"))
                return "mixed"
            lines.extend((*named, f"mixed = self.{fields['mlp']}({given})", f"if self.{shared} is not None:"))
            lines.append(f"    mixed = mixed + self.{shared}({given})")
            return "mixed"

        if layer.parallel == "shared":
            lines.append(f"h = {norm('attention_norm', 'x')}")
            attended, mixed = attention("h"), mlp("h")
            return [*lines, f"return x + {attended}{scale} + {mixed}{scale}"]
        if layer.parallel == "separate":
            attended, mixed = attention(norm("attention_norm", "x")), mlp(norm("mlp_norm", "x"))
            return [*lines, f"return x + {attended}{scale} + {mixed}{scale}"]
        if layer.norms == "post":
            first = norm("attention_norm", f"x + {attention('x')}{scale}")
            lines.append(f"h = {first}")
            second = norm("mlp_norm", f"h + {mlp('h')}{scale}")
            return [*lines, f"return {second}"]
        attended = norm("attention_output_norm", attention(norm("attention_norm", "x")))
        averaged = layer.sums == "averaged"
        if not layer.mlp:
            return [*lines, f"return x + {attended}{scale}"]
        lines.append(f"h = averaged(x, {attended}, terms)" if averaged else f"h = x + {attended}{scale}")
        mixed = norm("mlp_output_norm", mlp(norm("mlp_norm", "h")))
        return [*lines, f"return averaged(h, {mixed}, terms + 1)" if averaged else f"return h + {mixed}{scale}"]

    @cached_property
    def summary(self) -> str:
        layer = self._architecture.layer
        if layer.parallel == "shared":
            return "One block: attention and MLP side by side, after one norm"
        if layer.parallel == "separate":
            return "One block: attention and MLP side by side, each after its norm"
        if not layer.mlp:
            return "One block: pre-norm attention, and no MLP"
        after_experts = "" if layer.mlp_output_norm == "none" else ", and a norm after experts"
        mlp = "MLP" if self.shared_beside is None else "experts, and an MLP beside them"
        return {
            "pre": f"One block: pre-norm attention, then pre-norm {mlp}{after_experts}",
            "post": "One block: attention, then MLP, with a norm after each sum",
            "sandwich": "One block: attention, then MLP, with a norm before and after each",
            "output": "One block: attention, then MLP, with a norm on what each puts out",
        }[layer.norms]
