"""What the template of attention reads: its projections and norms, and the statements of its forward."""

from functools import cached_property
from typing import TYPE_CHECKING

from levgen.scaffold.views.fields import NormField, Projection, over_config, shape
from levgen.scaffold.views.query_key import QueryKeyView

if TYPE_CHECKING:
    from levgen.scaffold.views.port import PortView

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


class AttentionView(QueryKeyView):
    """Attention under the answers of `port`."""

    def __init__(self, port: "PortView") -> None:
        super().__init__(port)
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
        """What `init` is told beside the config, where layers hold unlike things: whether this one has a window, or
        an indexer."""
        if self._answers.uneven:
            return "windowed: bool, "
        return "chooses: bool, " if self._port.hands_choice_on else ""

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
