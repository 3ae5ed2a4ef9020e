"""The statements of attention that make queries, keys and values: projections, norms, rotation, temperature."""

from typing import TYPE_CHECKING

from levgen.scaffold.views.fields import PartView

if TYPE_CHECKING:
    from levgen.scaffold.views.port import PortView


class QueryKeyView(PartView):
    """What comes before the scores of attention, under the answers of `port`."""

    query_axes: list[str]
    key_axes: list[str]
    field: dict[str, str]  # role -> field of the class

    def __init__(self, port: "PortView") -> None:
        super().__init__()
        self._port = port
        self._answers = port.architecture.attention
        self._positions = port.architecture.positions

    @property
    def _norm_when(self) -> str | None:
        """Python source over `config`: whether queries and keys have norms; None where all have."""
        on = self._answers.qk_norm_switch
        return None if on is True else self._port.value(on, "config")

    @property
    def _rotary(self) -> bool:
        return self._positions.kind == "rotary"

    @property
    def _head_size(self) -> str:
        return "HeadSize" if self._rotary else "self.config.HeadSize"

    @property
    def _mixed(self) -> bool:
        """Whether layers rotate differently, or some not at all."""
        return self._rotary and (self._positions.layers != "every" or self._positions.local_rope)

    @property
    def _rotation_names(self) -> list[str]:
        if not self._rotary:
            return []
        if self._positions.rotary_dim is not None:
            fraction = f"self.config.{self._positions.rotary_dim} / HeadSize.size"
            return ["HeadSize = self.config.HeadSize", f"rope = Rotary(fraction={fraction})"]
        if self._positions.local_rope:
            return [
                "HeadSize, rope, local_rope = self.config.HeadSize, self.config.rope, self.config.local_rope",
            ]
        return ["HeadSize, rope = self.config.HeadSize, self.config.rope"]

    def _rotated(self, x: str, rope: str = "rope") -> str:
        layout = ', layout="interleaved"' if self._positions.layout == "interleaved" else ""
        positions = "-pos_ids" if self._positions.backwards else "pos_ids"
        return f"{rope}({x}, {positions}, HeadSize{layout})"

    def _normed(self, short: str, x: str, *, rotated: bool) -> str:
        norm = self.field.get(f"{short}_norm")
        if norm is None or self._norms_apart or self._answers.norm_after_rotation != rotated:
            return x
        return f"self.{norm}({x})"

    @property
    def _norms_apart(self) -> bool:
        """Whether norms of queries and keys take statements of their own: they are in some layers, or may be absent."""
        answers = self._answers
        return answers.qk_norm != "none" and (answers.qk_norm_layers != "every" or answers.qk_norm_switch is not True)

    @property
    def _queries_keys_values(self) -> list[str]:
        answers = self._answers
        if answers.projections == "separate" and answers.clip is None and not self._mixed and not self._norms_apart:
            lines: list[str] = []
            for short in ("q", "k", "v"):
                x = self._normed(short, f"self.{self.field[short]}(x)", rotated=False)
                x = self._rotated(x) if self._rotary and short != "v" else x
                x = self._scaled(x) if short == "v" else x
                lines.append(f"{short} = {self._normed(short, x, rotated=True)}")
            return lines
        return [*self._projected, *self._clipped, *self._scaled_apart, *self._turned]

    def _scaled(self, v: str) -> str:
        """Values as they are mixed."""
        scale = self._answers.value_scale
        return v if scale is None else f"{v}{self._port.times(scale)}"

    @property
    def _scaled_apart(self) -> list[str]:
        """The same as a statement, where values are made together with queries and keys, or cut."""
        answers = self._answers
        apart = answers.projections != "separate" or answers.clip is not None
        return [f"v = {self._scaled('v')}"] if apart and answers.value_scale is not None else []

    @property
    def _projected(self) -> list[str]:
        answers = self._answers
        if answers.projections == "separate":
            projected = {short: f"self.{self.field[short]}(x)" for short in ("q", "k", "v")}
            projected["v"] = projected["v"] if answers.clip is not None else self._scaled(projected["v"])
            return [f"{short} = {self._normed(short, x, rotated=False)}" for short, x in projected.items()]
        fused = f"self.{self.field['qkv']}(x)"
        if answers.projections == "concat" and answers.heads != "multi":
            own = {axis: f"self.config.{axis}" for axis in ("KVHeads", "QHeadsPerGroup", "Heads")}
            own["HeadSize"] = self._head_size
            key = ", ".join(own[axis] for axis in self.key_axes)
            return [
                f"Query = ({', '.join(own[axis] for axis in self.query_axes)})",
                f"Key = ({key}{',' if len(self.key_axes) == 1 else ''})",
                f"q, k, v = split_axis({fused}, self.config.Qkv, Query, Key, Key)",
            ]
        if answers.projections == "interleaved" and answers.heads == "grouped":
            return [
                f"qkv = {fused}",
                'q = qkv["qkv", :-2].rename({"qkv": "q_heads_per_group"})  # each key head comes after its query heads',
                'k, v = qkv["qkv", -2], qkv["qkv", -1]',
            ]
        if answers.projections == "blocks":
            return [f'q, v, k = {fused}.unbind("qkv")  # in this order']
        return [f'q, k, v = {fused}.unbind("qkv")']

    @property
    def _clipped(self) -> list[str]:
        clip = self._answers.clip
        if clip is None:
            return []
        bound = self._port.value(clip)
        cut = "q, k, v = (hax.clip(projected, -bound, bound) for projected in (q, k, v))"
        if isinstance(clip, str) and self._port.optional(clip):
            return [f"bound = {bound}", "if bound is not None:", f"    {cut}"]
        return [f"bound = {bound}", cut]

    @property
    def _turned(self) -> list[str]:
        """Norms and rotation of queries and keys that stand in variables."""
        if self._norms_apart and self._answers.qk_norm_layers == "rotating":
            return self._turned_and_normed
        norms = [f"{short} = self.{norm}({short})" for short in ("q", "k") if (norm := self.field.get(f"{short}_norm"))]
        if self._norms_apart:
            norms = self._guarded("q", "k")
        if self._mixed:
            where = self._where_rotated
            if self._positions.local_rope:
                choice = f"hax.where({where}, {self._rotated('turned', 'local_rope')}, {self._rotated('turned')})"
            else:
                choice = f"hax.where({where}, {self._rotated('turned')}, turned)"
            rotation = [f"q, k = ({choice} for turned in (q, k))"]
        elif self._rotary:
            rotation = [f"{short} = {self._rotated(short)}" for short in ("q", "k")]
        else:
            rotation = []
        if self._answers.norm_after_rotation:
            return [*rotation, *norms]
        named = self._answers.projections == "separate" and not self._norms_apart
        return rotation if named else [*norms, *rotation]

    def _guarded(self, q: str, k: str) -> list[str]:
        """What norms the variables `q` and `k`, where there may be no norms."""
        q_norm, k_norm = (f"self.{self.field[role]}" for role in ("q_norm", "k_norm"))
        normed = f"{q}, {k} = {q_norm}({q}), {k_norm}({k})"
        if self._norm_when is None:
            return [normed]
        return [f"if {q_norm} is not None and {k_norm} is not None:", f"    {normed}"]

    @property
    def _turned_and_normed(self) -> list[str]:
        """Rotation and norms that come together: where a layer doesn't rotate, it has no norms either."""
        where = self._where_rotated
        after = self._answers.norm_after_rotation
        turned = f"({self._rotated('part')} for part in ({'q, k' if after else 'q_turned, k_turned'}))"
        rotation = [f"q_turned, k_turned = {turned}"]
        norms = self._guarded("q_turned", "k_turned")
        steps = [*rotation, *norms] if after else ["q_turned, k_turned = q, k", *norms, *rotation]
        return [*steps, f"q, k = hax.where({where}, q_turned, q), hax.where({where}, k_turned, k)"]

    @property
    def _grown(self) -> list[str]:
        """What makes queries grow with their position: as the rotation says, by a power, or by a logarithm."""
        positions = self._positions
        if positions.query_scaling:
            return ["q = rope.scaled_queries(q, pos_ids)"]
        if positions.growth_length is not None:
            length, exponent = (self._port.value(f) for f in (positions.growth_length, positions.growth_exponent))
            grown = f"grown_queries(q, pos_ids, length={length}, exponent={exponent})"
            return [f"q = hax.where({self._where_rotated}, q, {grown})"]
        if positions.temperature == "none":
            return []
        numbers = "span=self.config.temperature_span, scale=self.config.temperature_scale"
        grown = f"tempered_queries(q, pos_ids, {numbers})"
        if positions.temperature == "unturned":
            grown = f"hax.where({self._where_rotated}, q, {grown})"
        if positions.temperature_switch is True:
            return [f"q = {grown}"]
        return [f"if {self._port.value(positions.temperature_switch)}:", f"    q = {grown}"]

    @property
    def _where_rotated(self) -> str:
        """The argument that says whether a layer rotates, or which way."""
        return "windowed" if self._positions.layers in ("every", "windowed") else "rotates"
