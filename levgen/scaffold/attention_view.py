"""What the template of attention reads: its projections and norms, and the statements of its forward."""

from functools import cached_property
from typing import TYPE_CHECKING

from levgen.scaffold.fields import NormField, PartView, Projection, over_config, shape

if TYPE_CHECKING:
    from levgen.scaffold.view import PortView

# Axes of queries, and of keys and values, by attention.heads.
_QUERY_AXES = {
    "grouped": ["KVHeads", "QHeadsPerGroup", "HeadSize"],
    "multi": ["Heads", "HeadSize"],
    "single": ["Heads", "HeadSize"],
    "latent": ["Heads", "QkHeadSize"],
}
_KEY_AXES = {
    "grouped": ["KVHeads", "HeadSize"],
    "multi": ["Heads", "HeadSize"],
    "single": ["HeadSize"],
    "latent": ["Heads", "QkHeadSize"],
}


class AttentionView(PartView):
    """Attention under the answers of `port`."""

    def __init__(self, port: "PortView") -> None:
        super().__init__()
        self._port = port
        self._answers = port.architecture.attention
        self._positions = port.architecture.positions
        self.query_axes = _QUERY_AXES[self._answers.heads]
        self.key_axes = _KEY_AXES[self._answers.heads]
        if self._answers.projections == "blocks":
            self.query_axes = self.key_axes = ["Blocks", "HeadsPerBlock", "HeadSize"]
        self.value_axes = self.key_axes
        self.attended_axes = self.query_axes
        if self._answers.value_dim == "free":
            self.value_axes, self.attended_axes = (
                [*axes[:-1], "VHeadSize"] for axes in (self.key_axes, self.query_axes)
            )
        self.projections = self._projections()
        self.norms = self._norms()
        self.field = {projection.role: projection.field for projection in self.projections}
        self.field |= {norm.role: norm.field for norm in self.norms}
        self.sinks = port.field("attention", "sinks", self.key_map) if self._answers.sinks else None
        self.gate_bias = port.field("attention", "gate_bias", self.key_map) if self._answers.gate_bias else None
        has_indexer = self._answers.indexer != "none"
        self.indexer = port.field("attention", "indexer", self.key_map) if has_indexer else None

    # Weights ----------------------------------------------------------------------------------------------------

    def _projections(self) -> list[Projection]:
        port, answers = self._port, self._answers
        query, key = {
            "grouped": ("Query", "Key"),
            "multi": ("Heads", "Heads"),
            "single": ("Heads", "config.HeadSize"),
        }[answers.heads]
        bias, out_bias = port.value(answers.bias, "config"), port.value(answers.output_bias, "config")

        def projection(role: str, inputs: str, outputs: str, axes: str, use_bias: str, std: str) -> Projection:
            name = port.field("attention", role, self.key_map)
            out_first = not answers.transposed
            return Projection(name, role, inputs, outputs, axes, use_bias, std, out_first, made_by=port.linear)

        value, attended = key, query
        if answers.value_dim == "free":
            value, attended = ("Value", "Attended") if answers.heads != "single" else ("config.VHeadSize", "Attended")
        query_shape, key_shape = shape(self.query_axes), shape(self.key_axes)
        if answers.projections == "separate":
            made = [
                projection("q", "config.Embed", query, f"Embed -> {query_shape}", bias, "std"),
                projection("k", "config.Embed", key, f"Embed -> {key_shape}", bias, "std"),
                projection("v", "config.Embed", value, f"Embed -> {shape(self.value_axes)}", bias, "std"),
            ]
        else:
            axes = self._fused_axes
            made = [projection("qkv", "config.Embed", over_config(axes), f"Embed -> {shape(axes)}", bias, "std")]
        if answers.gate != "none":
            per = self.query_axes if answers.gate_per == "channel" else self.query_axes[:-1]
            outputs = query if answers.gate_per == "channel" else over_config(per)
            made.append(projection("gate", "config.Embed", outputs, f"Embed -> {shape(per)}", "False", "std"))
        out = f"{shape(self.attended_axes)} -> Embed"
        return [*made, projection("o", attended, "config.Embed", out, out_bias, port.std_name("attention"))]

    @cached_property
    def _fused_axes(self) -> list[str]:
        """Output axes of the one matrix that holds queries, keys and values."""
        if self._answers.projections == "blocks":
            return ["Blocks", "Qkv", "HeadsPerBlock", "HeadSize"]
        if self._answers.projections == "interleaved":
            return ["KVHeads" if self._answers.heads == "grouped" else "Heads", "Qkv", "HeadSize"]
        return ["Qkv", "Heads", "HeadSize"] if self._answers.heads == "multi" else ["Qkv"]

    def _norms(self) -> list[NormField]:
        port, answers = self._port, self._answers
        norms = []
        if answers.qk_norm != "none":
            for role, axes in (("q_norm", self.query_axes), ("k_norm", self.key_axes)):
                over = ["HeadSize"] if answers.qk_norm == "head" else axes
                bare = not answers.qk_norm_weight
                # One without parameters has no name in a checkpoint.
                name = port.field("attention", role, {} if bare else self.key_map)
                made = port.norm_init(over_config(over), bare=bare)
                norms.append(NormField(name, role, shape(over), made, self._norm_when))
        if answers.inner_norm:
            name = port.field("attention", "inner_norm", self.key_map)
            norms.append(
                NormField(name, "inner_norm", shape(self.query_axes), port.norm_init(over_config(self.query_axes)))
            )
        return norms

    @property
    def _norm_when(self) -> str | None:
        """Python source over `config`: whether queries and keys have norms; None where all have."""
        on = self._answers.qk_norm_switch
        return None if on is True else self._port.value(on, "config")

    @property
    def local_axes(self) -> list[tuple[str, str]]:
        """(local variable, axes) of `init`: what its projections map to and from."""
        answers, free = self._answers, self._answers.value_dim == "free"
        attended = [("Attended", self._in_init(self.attended_axes))] if free else []
        if answers.heads != "grouped":
            value = [("Value", self._in_init(self.value_axes))] if free and answers.heads == "multi" else []
            return [("Heads", over_config(self.query_axes)), *value, *attended]
        key = [("Key", self._in_init(self.key_axes))] if answers.projections == "separate" else []
        value = [("Value", self._in_init(self.value_axes))] if free else []
        return [*self._local_heads, ("Query", self._in_init(self.query_axes)), *key, *value, *attended]

    @property
    def _local_heads(self) -> list[tuple[str, str]]:
        """The axes of heads, where layers with a window have others."""
        if self._answers.local_kv_multiple == 1:
            return []
        local, others = (f"config.{at}KVHeads, config.{at}QHeadsPerGroup" for at in ("Local", ""))
        return [("KVHeads, QHeadsPerGroup", f"({local}) if windowed else ({others})")]

    def _in_init(self, axes: list[str]) -> str:
        """`axes`, read from `config` or from what `init` has in variables."""
        held = ("KVHeads", "QHeadsPerGroup") if self._answers.local_kv_multiple > 1 else ()
        return shape([axis if axis in held else f"config.{axis}" for axis in axes])

    @property
    def told(self) -> str:
        """What `init` is told beside the config: whether the layer has a window, where that makes a difference."""
        return "windowed: bool, " if self._answers.uneven else ""

    @property
    def sinks_when(self) -> str | None:
        """Whether a layer has sinks, in Python; None where every layer has."""
        return None if self._answers.sinks_in == "every" else "windowed"

    # Words ------------------------------------------------------------------------------------------------------

    @property
    def summary(self) -> str:
        answers = self._answers
        heads = {"grouped": "Grouped-query", "multi": "Multi-head", "single": "Multi-query"}[answers.heads]
        positions = {"rotary": " with rotary positions", "alibi": " with ALiBi"}.get(self._positions.kind, "")
        norm = {
            "none": "",
            "head": " and a norm over each head of queries and keys",
            "full": " and a norm over all queries and all keys",
        }[answers.qk_norm]
        return f"{heads} attention{positions}{norm}"

    # Forward ----------------------------------------------------------------------------------------------------

    @cached_property
    def body(self) -> list[str]:
        """The statements of the forward, up to what goes into the output projection."""
        return [
            *self._rotation_names,
            *self._queries_keys_values,
            *self._grown,
            *self._mask,
            *self._slopes,
            *self._attended,
        ]

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

    @property
    def _mask(self) -> list[str]:
        window = self._answers.window
        if window == "none":
            return []
        where = "" if window == "every" else ", where=windowed"
        if self._answers.local == "chunk":
            return [f"mask = mask.with_chunks(self.config.chunk_size, pos_ids{where})"]
        return [f"mask = mask.with_sliding_window(self.config.sliding_window{where})"]

    def _over_heads(self, x: str, *, local: bool = False) -> str:
        """`x`, which has one entry for each query head, over the axes of the queries; of layers with a window."""
        axes = [f"Local{axis}" if local else axis for axis in self.query_axes[:-1]]
        return (
            x
            if axes == ["Heads"]
            else f'{x}.unflatten_axis("heads", {shape([f"self.config.{axis}" for axis in axes])})'
        )

    @property
    def _slopes(self) -> list[str]:
        if self._positions.kind != "alibi":
            return []
        return [f"slopes = {self._over_heads('alibi_slopes(self.config.Heads)')}"]

    @property
    def _attended(self) -> list[str]:
        answers = self._answers
        scale = self._port.value(answers.scale)
        if self._rotary:
            scale = scale.replace("self.config.HeadSize", "HeadSize")
        arguments = ["q", "k", "v", "mask", f"HeadSize={self._head_size}", f"scale={scale}"]
        lines = []
        if answers.softcap is not None:
            arguments.append(f"softcap={self._port.value(answers.softcap)}")
        if answers.sinks:
            sinks = self._over_heads(f"self.{self.sinks}", local=answers.local_kv_multiple > 1)
            if self.sinks_when is not None and not sinks.startswith(f"self.{self.sinks}."):
                sinks = f"self.{self.sinks}"
            elif self.sinks_when is not None:
                lines.append(f"sinks = None if self.{self.sinks} is None else {sinks}")
                sinks = "sinks"
            arguments.append(f"sinks={sinks}")
        if self._positions.kind == "alibi":
            arguments.append("bias=AlibiBias(slopes, pos_ids)")
        lines.append(f"attended = dot_product_attention({', '.join(arguments)})")
        inner = self.field.get("inner_norm")
        out = "attended" if inner is None else f"self.{inner}(attended)"
        if answers.gate != "none":
            gate = f"self.{self.field['gate']}(x)"
            gate += "" if self.gate_bias is None else f" + {self._over_heads(f'self.{self.gate_bias}')}"
            lines.append(f"attended = attended * hnn.{answers.gate}({gate})")
        return [*lines, f"return self.{self.field['o']}({out})"]
