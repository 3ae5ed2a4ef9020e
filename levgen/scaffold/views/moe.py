"""What the template of a mixture of experts reads: the fields of its class and the statements of its forward."""

from functools import cached_property
from typing import TYPE_CHECKING

from levgen.scaffold.parts import load_part
from levgen.scaffold.views.fields import over_config, shape

if TYPE_CHECKING:
    from levgen.scaffold.views.port import PortView


class MoeView:
    """The mixture of experts of a port: a router, experts, and perhaps one that every token goes to."""

    def __init__(self, port: "PortView") -> None:
        self._port = port
        self._answers = port.architecture.moe
        self.key_map: dict[str, str | None] = {}
        self.router = self._field("router")
        self.correction_bias = self._field("correction_bias") if self._answers.correction else None
        self.experts = self._field("experts")
        shares = self._answers.shared != "none" and not self._answers.shared_beside
        self.shared = self._field("shared") if shares else None
        self.shared_gate = self._field("shared_gate") if self._answers.shared == "gated" else None

    def _field(self, role: str) -> str:
        return self._port.field("moe", role, self.key_map)

    @property
    def keys(self) -> list[str]:
        """What `init` splits its key for."""
        own = {"router": self.router, "experts": self.experts, "shared": self.shared, "shared_gate": self.shared_gate}
        return [name for name, field in own.items() if field]

    @property
    def residual_std(self) -> bool:
        """Whether the projections back into the residual stream are drawn with a deviation of their own."""
        return self._port.std_name("mlp") == "residual_std"

    @property
    def _correction(self) -> list[str]:
        return ["CorrectionRow", "Experts"] if self._answers.correction_stored == "row" else ["Experts"]

    @property
    def correction_shape(self) -> str:
        """The axes of the bias that only chooses, for the comment."""
        return shape(self._correction)

    @property
    def correction_axes(self) -> str:
        """The same, read from `config`."""
        return over_config(self._correction)

    @property
    def router_std(self) -> str:
        """The deviation of a fresh router."""
        own = self._port.architecture.initialization.router_std
        return "std" if own is None else self._port.value(own, "config")

    @property
    def experts_arguments(self) -> str:
        """Keyword arguments of `Experts.init`, after its axes and its key."""
        answers = self._answers
        roles = ("gate_up", "down") if answers.stored == "stacked" else ("gate", "up", "down")
        names = {role: self._port.weight("moe", role) or role for role in roles}
        given = {"std": "std"}
        if self.residual_std:
            given["down_std"] = "residual_std"
        given |= {
            argument: "True"
            for argument, holds in (
                ("use_bias", answers.bias),
                ("transposed", answers.transposed),
                ("interleaved", answers.interleaved),
                ("flat", answers.stored == "flat"),
            )
            if holds
        }
        usual = load_part("moe").names
        if names == {role: usual[role] for role in ("gate_up", "down")}:
            given["in_files"] = "None"
        elif names != {role: usual[role] for role in ("gate", "up", "down")}:
            given["in_files"] = str(names).replace("'", '"')
        return ", ".join(f"{argument}={value}" for argument, value in given.items())

    # Words ------------------------------------------------------------------------------------------------------

    @property
    def summary(self) -> str:
        """`Mixture of experts: a token goes to those with the largest probabilities, and to one that all share`"""
        scores = {"softmax": "probabilities", "sigmoid": "scores"}.get(self._answers.scores, "logits")
        shared = "" if self.shared is None else ", and to one that all share"
        shared = ", and through a gate to a shared one" if self.shared_gate is not None else shared
        return f"Mixture of experts: a token goes to those with the largest {scores}{shared}"

    # Forward ----------------------------------------------------------------------------------------------------

    @cached_property
    def body(self) -> list[str]:
        """The statements of the forward."""
        answers = self._answers
        lines = [f"logits = self.{self.router}(x).astype(jnp.float32)"]
        if answers.balance:
            lines.append("note_routing(logits, self.config.TopExperts)")
        scores = {"softmax": "hnn.softmax(logits, self.config.Experts)", "sigmoid": "hnn.sigmoid(logits)"}
        if answers.scores in scores and not self._chooses_by_logits:
            lines.append(f"scores = {scores[answers.scores]}")
        lines += [*self._choice, *self._weights]
        gated = "self.gated" if answers.gating == "clamped" else "lambda gate, up: self.act(gate) * up"
        weighed = ", weigh_inputs=True" if answers.weighs == "input" else ""
        mixed = f"self.{self.experts}(x, chosen, weights, {gated}{weighed})"
        if self.shared is None:
            return [*lines, f"return {mixed}"]
        shared = f"self.{self.shared}(x)"
        if self.shared_gate is not None:
            shared = f"hnn.sigmoid(self.{self.shared_gate}(x)) * {shared}"
        return [*lines, f"mixed = {mixed}", f"return mixed + {shared}"]

    @property
    def _chooses_by_logits(self) -> bool:
        """Whether scores are those of the chosen ones' logits."""
        return self._answers.scores == "chosen_softmax" or self._answers.correction_of == "logits"

    @property
    def _choice(self) -> list[str]:
        answers = self._answers
        if answers.scores == "sparse_mixer":
            return ["chosen, weights = sparse_mixer(logits, self.config.TopExperts, jitter=self.config.router_jitter)"]
        arguments = ["logits" if self._chooses_by_logits else "scores", "self.config.TopExperts"]
        if self.correction_bias is not None:
            row = '["correction_row", 0]' if answers.correction_stored == "row" else ""
            arguments.append(f"bias=self.{self.correction_bias}{row}")
        if answers.groups:
            arguments += ["groups=self.config.num_expert_groups", "kept_groups=self.config.num_kept_groups"]
            arguments += ["other_groups=0.0"] if answers.other_groups == "zero" else []
        return [f"chosen, weights = top_experts({', '.join(arguments)})"]

    @property
    def _weights(self) -> list[str]:
        """What makes weights of the scores of those that were chosen."""
        answers = self._answers
        lines = []
        if answers.scores == "chosen_softmax":
            lines = ["weights = hnn.softmax(weights, self.config.TopExperts)"]
        elif self._chooses_by_logits:
            lines = ["weights = hnn.sigmoid(weights)"]
        if answers.norm_order is not None:
            lines += self._over_norm
        elif answers.normalized is True:
            lines.append("weights = weights / hax.sum(weights, self.config.TopExperts)")
        elif isinstance(answers.normalized, str):
            lines += [
                f"if {self._port.value(answers.normalized)}:",
                "    weights = weights / hax.sum(weights, self.config.TopExperts)",
            ]
        return lines if answers.scale is None else [*lines, f"weights = weights{self._port.times(answers.scale)}"]

    @property
    def _over_norm(self) -> list[str]:
        """Division by a norm of another order than 1, which the sum is."""
        order = self._answers.norm_order
        held = self._port.value(order)
        divided = "weights = weights / hax.sum(weights**order, self.config.TopExperts) ** (1 / order)"
        if isinstance(order, str) and self._port.optional(order):
            return [f"order = {held}", "if order is not None:", f"    {divided}"]
        return [f"order = {held}", divided]
