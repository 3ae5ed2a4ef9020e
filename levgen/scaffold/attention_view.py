"""What the template of attention reads: its projections and norms, and the statements of its forward."""

from functools import cached_property
from typing import TYPE_CHECKING

from levgen.scaffold.fields import NormField, Projection, over_config, shape
from levgen.scaffold.query_key_view import QueryKeyView

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


class AttentionView(QueryKeyView):
    """Attention under the answers of `port`."""

    def __init__(self, port: "PortView") -> None:
        super().__init__(port)
        self.query_axes = _QUERY_AXES[self._answers.heads]
        self.key_axes = _KEY_AXES[self._answers.heads]
        if self._answers.projections == "blocks":
            self.query_axes = self.key_axes = ["Blocks", "HeadsPerBlock", "HeadSize"]
        self.projections = self._projections()
        self.norms = self._norms()
        self.field = {projection.role: projection.field for projection in self.projections}
        self.field |= {norm.role: norm.field for norm in self.norms}
        self.sinks = port.field("attention", "sinks", self.key_map) if self._answers.sinks else None

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

        query_shape, key_shape = shape(self.query_axes), shape(self.key_axes)
        if answers.projections == "separate":
            made = [
                projection("q", "config.Embed", query, f"Embed -> {query_shape}", bias, "std"),
                projection("k", "config.Embed", key, f"Embed -> {key_shape}", bias, "std"),
                projection("v", "config.Embed", key, f"Embed -> {key_shape}", bias, "std"),
            ]
        else:
            axes = self._fused_axes
            made = [projection("qkv", "config.Embed", over_config(axes), f"Embed -> {shape(axes)}", bias, "std")]
        if answers.gate != "none":
            per = self.query_axes if answers.gate_per == "channel" else self.query_axes[:-1]
            outputs = query if answers.gate_per == "channel" else over_config(per)
            made.append(projection("gate", "config.Embed", outputs, f"Embed -> {shape(per)}", "False", "std"))
        return [
            *made,
            projection("o", query, "config.Embed", f"{query_shape} -> Embed", out_bias, port.std_name("attention")),
        ]

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
        query = over_config(self.query_axes)
        if self._answers.heads != "grouped":
            return [("Heads", query)]
        key = [("Key", over_config(self.key_axes))] if self._answers.projections == "separate" else []
        return [("Query", query), *key]

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
        queries = ["q = rope.scaled_queries(q, pos_ids)"] if self._positions.query_scaling else []
        return [
            *self._rotation_names,
            *self._queries_keys_values,
            *queries,
            *self._temperature,
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

    def _over_heads(self, x: str) -> str:
        """`x`, which has one entry for each query head, over the axes of the queries."""
        axes = self.query_axes[:-1]
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
        if answers.softcap is not None:
            arguments.append(f"softcap={self._port.value(answers.softcap)}")
        if answers.sinks:
            arguments.append(f"sinks={self._over_heads(f'self.{self.sinks}')}")
        if self._positions.kind == "alibi":
            arguments.append("bias=AlibiBias(slopes, pos_ids)")
        lines = [f"attended = dot_product_attention({', '.join(arguments)})"]
        inner = self.field.get("inner_norm")
        out = "attended" if inner is None else f"self.{inner}(attended)"
        if answers.gate != "none":
            lines.append(f"attended = attended * hnn.{answers.gate}(self.{self.field['gate']}(x))")
        return [*lines, f"return self.{self.field['o']}({out})"]
