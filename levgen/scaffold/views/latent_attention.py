"""What the template of attention reads where keys and values are made from a latent of low rank."""

from functools import cached_property

from levgen.scaffold.views.attention import AttentionView
from levgen.scaffold.views.fields import NormField, Projection, over_config, shape

_VALUE_AXES = ["Heads", "VHeadSize"]


class LatentAttentionView(AttentionView):
    """Latent attention under the answers of `port`.

    Queries are of low rank too, unless the hyperparameter `q_lora_rank` may be None, and is.
    """

    @property
    def _low_rank(self) -> str | None:
        """The variable of `init` that says whether queries are of low rank; None where they always are."""
        return "low_rank" if self._port.optional("q_lora_rank") else None

    @property
    def _joined(self) -> bool:
        """Whether queries are made from a vector of low rank as it is, too, beside its norm."""
        return self._answers.query_latent == "joined"

    @property
    def _gated(self) -> bool:
        """Whether each head's gate is made beside its query."""
        return self._answers.gate_in == "queries"

    @property
    def _made_axes(self) -> list[str]:
        """What the last map to queries makes."""
        return ["Heads", "QueryGate"] if self._gated else self.query_axes

    @property
    def _query_roles(self) -> tuple[str, str]:
        """The role of the last map to queries at the config's defaults, and its role at the other kind of rank."""
        full = self._low_rank is not None and self._port.default("q_lora_rank") is None
        return ("q", "q_b") if full else ("q_b", "q")

    def _projections(self) -> list[Projection]:
        port, answers = self._port, self._answers
        q, other = self._query_roles
        bias, out_bias = port.value(answers.bias, "config"), port.value(answers.output_bias, "config")
        query, up, value = (shape(axes) for axes in (self._made_axes, ["Heads", "KvUp"], _VALUE_AXES))
        q_in, remark = "QJoined" if self._joined else "QLatent", ""
        q_from = f"config.{q_in}"
        if self._low_rank is not None:
            q_from, remark = "config.QLatent if low_rank else config.Embed", "; from Embed where q_lora_rank is None"
            self.key_map_when = "self.config.q_lora_rank is None"
        if q == "q":
            q_in, remark = "Embed", "; from QLatent where q_lora_rank is a number"
            self.key_map_when = "self.config.q_lora_rank is not None"
        out_std = port.std_name("attention")
        # (role, inputs, outputs, shape, bias, std, when, remark)
        specs = [
            ("q_a", "config.Embed", "config.QLatent", "Embed -> QLatent", bias, "std", self._low_rank, ""),
            (q, q_from, "Query", f"{q_in} -> {query}", "False", "std", None, remark),
            ("kv_a", "config.Embed", "config.KvDown", "Embed -> KvDown", bias, "std", None, ""),
            ("kv_b", "config.KvLatent", "(config.Heads, config.KvUp)", f"KvLatent -> {up}", "False", "std", None, ""),
            ("o", over_config(_VALUE_AXES), "config.Embed", f"{value} -> Embed", out_bias, out_std, None, ""),
        ]
        made = []
        for role, inputs, outputs, axes, use_bias, std, when, said in specs:
            name = port.field("attention", role, self.key_map)
            made.append(
                Projection(name, role, inputs, outputs, axes, use_bias, std, not answers.transposed, when, said)
            )
        if self._low_rank is not None:
            self.key_map[made[1].field] = port.weight("attention", other)
        return made

    def _norms(self) -> list[NormField]:
        port = self._port
        norms = []
        for role, axis, when in (("q_a_norm", "QLatent", self._low_rank), ("kv_a_norm", "KvLatent", None)):
            eps = self._answers.latent_norm_eps
            call = port.norm_init(f"config.{axis}", eps if eps is None else "latent_eps")
            norms.append(NormField(port.field("attention", role, self.key_map), role, axis, call, when))
        return norms

    @property
    def local_axes(self) -> list[tuple[str, str]]:
        low_rank = [] if self._low_rank is None else [(self._low_rank, "config.q_lora_rank is not None")]
        eps = self._answers.latent_norm_eps
        own = [] if eps is None else [("latent_eps", f"{self._port.value(eps, 'config')}  # whatever norm_eps is")]
        return [("Query", over_config(self._made_axes)), *low_rank, *own]

    @property
    def summary(self) -> str:
        if self._gated:
            return (
                "Latent attention with a gate: keys and values are made from a vector of low rank, and a part rotates"
            )
        return "Latent attention: keys and values are made from a vector of low rank, and a part of each head rotates"

    @cached_property
    def body(self) -> list[str]:
        """The statements of the forward."""
        field = {name: f"self.{own}" for name, own in self.field.items()}
        parts = "[config.NopeHeadSize], [config.RopeHeadSize]"
        split = f"q_nope, q_rope = split_axis(q, config.QkHeadSize, {parts})"
        if self._gated:
            split = f"q_nope, q_rope, gate = split_axis(q, config.QueryGate, {parts}, [config.VHeadSize])"
        scale = self._port.value(self._answers.scale, "config")
        arguments = f"q_nope, q_rope, latent, k_rope, {field['kv_b']}, mask"
        return [
            "config, rope = self.config, self.config.rope",
            *self._queries(field),
            split,
            f"latent, k_rope = split_axis({field['kv_a']}(x), config.KvDown, [config.KvLatent], [config.RopeHeadSize])",
            *(f"{short}_rope = {self._turned_part(f'{short}_rope')}" for short in ("q", "k")),
            *self._mask,
            *self._narrowed_mask,
            f"latent, scale = {field['kv_a_norm']}(latent), {scale} * rope.score_scaling",
            f"attended = latent_attention({arguments}, VHeadSize=config.VHeadSize, scale=scale)",
            *([f"attended = attended * hnn.{self._answers.gate}(gate)"] if self._gated else []),
            f"return {field['o']}(attended)" + (", chosen" if self._port.hands_choice_on else ""),
        ]

    @property
    def _narrowed_mask(self) -> list[str]:
        """The statements that leave of the mask what an indexer chose."""
        if self.indexer is None:
            return []
        choose = f"chosen = self.{self.indexer}(x, q_latent, mask, pos_ids)"
        some = [f"if self.{self.indexer} is not None:", f"    {choose}"]
        chosen = some if self._port.hands_choice_on else [choose]
        return [*chosen, "mask = with_chosen_keys(mask, chosen, config.ChosenKeys)"]

    def _queries(self, field: dict[str, str]) -> list[str]:
        low, queries = f"{field['q_a_norm']}({field['q_a']}(x))", field[self._query_roles[0]]
        if self._joined:
            norm = f"q_latent = {field['q_a_norm']}(q_down)"
            return [
                f"q_down = {field['q_a']}(x)",
                norm,
                f"q = {queries}(join_axis(config.QLatent, config.QJoined, q_latent, q_down))",
            ]
        if self.indexer is not None:
            return [f"q_latent = {low}", f"q = {queries}(q_latent)"]
        if self._low_rank is None:
            return [f"q = {queries}({low})"]
        return [
            f"if {field['q_a']} is None or {field['q_a_norm']} is None:",
            f"    q = {queries}(x)",
            "else:",
            f"    q = {queries}({low})",
        ]

    def _turned_part(self, x: str) -> str:
        return self._rotated(x).replace("HeadSize", "config.RopeHeadSize")
