"""How a token knows where it stands, and how tokens see one another: the answers about positions and attention."""

from typing import Annotated, Literal

from msgspec import Meta

from levgen.architecture.answers import Answers, Factor, Identifier, Switch, usual

PositionKind = Literal["rotary", "learned", "sinusoidal", "alibi", "none"]


RotatingLayers = Literal["every", "windowed", "windowed_or_dense", "listed", "by_theta"]


# Which kinds of positions an answer about them belongs to.
_POSITION_ANSWERS: dict[str, tuple[PositionKind, ...]] = {
    **dict.fromkeys(
        (
            "layout",
            "layers",
            "backwards",
            "query_scaling",
            "growth_length",
            "growth_exponent",
            "local_rope",
            "rotary_dim",
        ),
        ("rotary",),
    ),
    "offset": ("learned", "sinusoidal"),
    "table": ("sinusoidal",),
}


class Positions(Answers):
    """How a token knows where it stands."""

    kind: PositionKind = "rotary"
    layout: Literal["half", "interleaved"] = "half"  # which dimensions a rotation pairs: (i, i + n/2) or (2i, 2i + 1)
    offset: Annotated[int, Meta(ge=0, le=16)] = 0  # rows of a table that come before position 0
    table: Literal["halves", "tensor2tensor"] = "halves"  # how the frequencies of sinusoidal positions are spaced
    # Which rotate: those with a window, also those without experts, as `rope_layers` says, or where a theta is not 0.
    layers: RotatingLayers = "every"
    backwards: bool = False  # a rotation turns the other way
    query_scaling: bool = False  # queries grow with their position, as the rotation's parameters say
    # Queries of layers that don't rotate are multiplied by (1 + (position + 1) / growth_length) ** growth_exponent.
    growth_length: Factor | None = None
    growth_exponent: Factor | None = None
    # In which layers queries grow with the logarithm of their position, by `temperature_span` and `temperature_scale`:
    # in none, in all, or in those that don't rotate. A hyperparameter may say whether they do at all.
    temperature: Literal["none", "every", "unturned"] = "none"
    temperature_switch: Switch = True
    local_rope: bool = False  # layers with a window rotate with parameters of their own
    # Where `rope` is no hyperparameter: the one that counts the dimensions of a head that turn, with a theta of 10000.
    rotary_dim: Identifier | None = None

    def _fits(self) -> None:
        for answer, kinds in _POSITION_ANSWERS.items():
            if getattr(self, answer) != usual(Positions)[answer] and self.kind not in kinds:
                needs = " or ".join(kinds)
                raise ValueError(
                    f"positions.{answer} belongs to positions.kind={needs}, and positions.kind is {self.kind}"
                )
        if self.local_rope and (self.layers != "every" or self.rotary_dim is not None):
            raise ValueError("positions.local_rope needs layers that all rotate, with `rope` as a hyperparameter")
        if self.query_scaling and (self.local_rope or self.layers != "every" or self.rotary_dim is not None):
            raise ValueError("positions.query_scaling needs layers that all rotate alike, by `rope`")
        if (self.growth_length is None) != (self.growth_exponent is None):
            raise ValueError("positions.growth_length and growth_exponent are given together, or neither of them")
        if self.growth_length is not None and self.layers == "every":
            raise ValueError("positions.growth_length is of layers that don't rotate: positions.layers is not every")
        if self.temperature == "unturned" and self.layers == "every":
            raise ValueError("positions.temperature=unturned is of layers that don't rotate: it needs positions.layers")
        if self.temperature == "none" and self.temperature_switch is not True:
            raise ValueError("positions.temperature_switch switches a temperature on: it needs positions.temperature")
        if self.layers == "by_theta" and self.rotary_dim is not None:
            raise ValueError(
                "positions.layers=by_theta compares with the theta of `rope`: positions.rotary_dim is null"
            )

    @property
    def turn_every_layer(self) -> bool:
        """Whether all layers rotate alike, by the hyperparameter `rope`."""
        return self.kind == "rotary" and self.layers == "every" and not self.local_rope and self.rotary_dim is None


Window = Literal["none", "every", "by_layer", "by_run"]
Local = Literal["window", "chunk"]


class Attention(Answers):
    """Self-attention of one layer."""

    # Several query heads to a key head, one, or all of them; latent: keys and values of each head are made from a
    # vector of low rank, and a part of the key that all heads share turns by its position.
    heads: Literal["grouped", "multi", "single", "latent"] = "grouped"
    head_dim: Literal["free", "derived"] = "free"  # a hyperparameter, or hidden_dim // num_heads
    # q, k, v apart; one matrix [q | k | v]; one matrix, head by head; one matrix of four blocks [q | v | k] of heads
    projections: Literal["separate", "concat", "interleaved", "blocks"] = "separate"
    transposed: bool = False  # weights are stored {in, out}
    bias: Switch = False  # of q, k and v; with latent heads, of the maps down to low ranks
    output_bias: Switch = False
    qk_norm: Literal["none", "head", "full"] = "none"  # over each head, or over all heads at once
    qk_norm_weight: bool = True  # these norms have a gain, where norms have one
    qk_norm_layers: Literal["every", "rotating"] = "every"
    qk_norm_switch: Switch = True  # whether they are there at all: a hyperparameter may say
    norm_after_rotation: bool = False
    clip: Factor | None = None  # queries, keys and values are cut to -clip ... clip
    scale: Factor = "head_dim**-0.5"
    softcap: Factor | None = None
    # Where a query sees a part of the keys only; by_layer: by `layer_types`, by_run: by `attention_types`. Which part:
    # the last `sliding_window` of them, or those of its own chunk of `chunk_size` positions.
    window: Window = "none"
    local: Local = "window"
    sinks: bool = False  # a learned logit for each head, in the softmax's denominator only
    sinks_in: Literal["every", "windowed"] = "every"  # which layers have these: all, or those with a window
    # Layers with a window have so many times the key heads of the others.
    local_kv_multiple: Annotated[int, Meta(ge=1, le=16)] = 1
    value_dim: Literal["head_dim", "free"] = "head_dim"  # the width of a head's values: that of keys, or its own
    value_scale: Factor | None = None  # multiplies values
    inner_norm: bool = False  # a norm over all heads' values, before the output projection
    # What comes before the output projection is multiplied by this function of a linear map of attention's input, or
    # of what queries are made from: then it lies in the matrix of queries, that of each head after its query.
    gate: Literal["none", "sigmoid", "softplus"] = "none"
    gate_in: Literal["own", "queries"] = "own"
    gate_per: Literal["channel", "head"] = "channel"  # each channel of each head, or all of a head by one number
    gate_bias: bool = False  # a number for each head is added before the function
    # What queries of low rank are made from: that vector after its norm, or this and then the vector as it is.
    query_latent: Literal["normed", "joined"] = "normed"
    latent_norm_eps: Factor | None = None  # of the norms over vectors of low rank, where it is another than norm.eps
    # Which layers have an indexer: a small attention that chooses the `index_topk` keys that a query sees.
    # `listed`: those that `indexer_types` calls full; the others see the keys that were chosen before them.
    indexer: Literal["none", "every", "listed"] = "none"
    indexer_layout: Literal["half", "interleaved"] = "half"  # which dimensions of its heads a rotation pairs
    indexer_norm_eps: Factor = 1e-6  # of the layer norm over its keys

    def _fits(self) -> None:
        if self.heads == "latent":
            self._fits_latent()
        for answer in ("latent_norm_eps", "query_latent") if self.heads != "latent" else ():
            if getattr(self, answer) != usual(Attention)[answer]:
                raise ValueError(
                    f"attention.{answer} belongs to attention.heads=latent, and attention.heads is {self.heads}"
                )
        given = [answer for answer, _ in self.differing() if answer.startswith("indexer")]
        if self.heads != "latent" and given:
            raise ValueError(f"attention.{given[0]} needs queries of low rank, attention.heads=latent")
        if self.indexer == "none" and given:
            raise ValueError(f"attention.{given[0]} needs layers with an indexer: attention.indexer")
        if self.heads == "single" and self.projections == "interleaved":
            raise ValueError(
                "attention.projections=interleaved lays keys between heads, and attention.heads=single has one"
            )
        if self.projections == "blocks" and (self.heads != "multi" or self.qk_norm == "full"):
            raise ValueError(
                "attention.projections=blocks is known with attention.heads=multi, and no norm over all heads"
            )
        norm_comes_first = self.projections == "separate" and not self.norm_after_rotation
        if self.clip is not None and self.qk_norm != "none" and not norm_comes_first:
            raise ValueError(
                "attention.clip is known with a norm on queries and keys only where that comes right after "
                "projections of their own: attention.projections=separate, norm_after_rotation=false"
            )
        if self.sinks_in != "every" and not self.sinks:
            raise ValueError("attention.sinks_in=windowed is of sinks: it needs attention.sinks=true")
        if self.uneven and self.window != "by_layer":
            raise ValueError(
                "attention.local_kv_multiple and sinks_in=windowed tell layers apart by their window: they need "
                f"attention.window=by_layer, and it is {self.window}"
            )
        if self.local_kv_multiple > 1 and not (
            self.heads == "grouped" and self.projections == "separate" and self.qk_norm != "full"
        ):
            raise ValueError(
                "attention.local_kv_multiple is known with attention.heads=grouped, projections=separate and no norm "
                "over all heads"
            )
        if self.value_dim == "free" and (self.projections != "separate" or self.inner_norm or self.gate != "none"):
            raise ValueError(
                "attention.value_dim=free is known with attention.projections=separate, and neither a norm nor a gate "
                "before the output projection"
            )
        if self.gate == "none" and (self.gate_per != "channel" or self.gate_bias):
            answer = "gate_bias=true" if self.gate_bias else "gate_per=head"
            raise ValueError(f"attention.{answer} needs a gate: attention.gate=sigmoid or softplus")
        if self.gate_in == "queries" and (
            self.heads != "latent" or self.gate == "none" or self.gate_per != "channel" or self.gate_bias
        ):
            raise ValueError(
                "attention.gate_in=queries is known with attention.heads=latent, a gate, gate_per=channel and "
                "gate_bias=false"
            )
        if self.gate != "none" and self.inner_norm:
            raise ValueError("attention.gate is known without a norm before the output projection: inner_norm=false")
        for answer in ("qk_norm_weight", "qk_norm_layers", "qk_norm_switch"):
            if self.qk_norm == "none" and getattr(self, answer) != usual(Attention)[answer]:
                raise ValueError(f"attention.{answer} is of a norm on queries and keys: it needs attention.qk_norm")
        if self.window == "none" and self.local != "window":
            raise ValueError("attention.local=chunk is of layers that see a part of the keys: attention.window")
        if self.clip is not None and (self.qk_norm_layers != "every" or self.qk_norm_switch is not True):
            raise ValueError("attention.clip is known with a norm on queries and keys in every layer, or in none")
        if self.qk_norm == "none" and self.norm_after_rotation:
            raise ValueError("attention.norm_after_rotation=true needs a norm on queries and keys: attention.qk_norm")

    @property
    def uneven(self) -> bool:
        """Whether layers with a window hold other tensors than those without."""
        return self.local_kv_multiple > 1 or self.sinks_in == "windowed"

    def _fits_latent(self) -> None:
        """Raises ValueError for an answer that is known for keys and values with projections of their own only."""
        for answer in (
            "head_dim",
            "projections",
            "qk_norm",
            "clip",
            "softcap",
            "sinks",
            "inner_norm",
            "value_dim",
            "value_scale",
        ):
            value, expected = getattr(self, answer), usual(Attention)[answer]
            if value != expected:
                raise ValueError(
                    f"attention.{answer}={str(value).lower()} is not known with attention.heads=latent: "
                    f"leave it at {str(expected).lower()}"
                )
        if self.gate != "none" and self.gate_in == "own":
            raise ValueError(
                f"attention.gate={self.gate} is known with attention.heads=latent in the matrix of queries only: "
                "attention.gate_in=queries"
            )
