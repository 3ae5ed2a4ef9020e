"""What a model is, as plain data: the answers that a generated file is written from.

An architecture is dimensions (hyperparameters), answers about structure (attention, MLP, norms, the dataflow of a
layer, the head), and the two maps to Hugging Face: config fields and names of weights. It holds no code and no name of
a model type that code would branch on.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_type_hints

from msgspec import Meta

from levgen.architecture.answers import (
    EXPRESSION,
    Answers,
    Factor,
    HfName,
    HfPath,
    Identifier,
    Path,
    Switch,
    Text,
    Unset,
    Value,
    matching,
    usual,
)


class Hyperparameter(Answers):
    """A field of the generated config: its default at full size, and the HF field that it is read from and written to.

    `unset` is what HF's None means, from other HF fields: "4 * n_embd". `nano` and `tiny` are the values on a
    laptop and in tests, where the part's own don't fit.
    """

    default: Value
    hf: HfPath | None = None
    unset: Unset | None = None
    optional: bool = False  # it may be None, which means that what it sets is absent
    open: bool = False  # the reference's class has no default that a model is built with: this is of a checkpoint
    nano: Value = None
    tiny: Value = None


class Paper(Answers):
    title: Text
    url: Annotated[str, matching(r"https://[A-Za-z0-9./_-]+", "an https address", 200)]


RopeKind = Literal["default", "linear", "dynamic", "yarn", "llama3", "longrope"]


class Reference(Answers):
    """The implementation that the model is proven against: in transformers, or in the folder of a checkpoint."""

    module: Path  # transformers.models.llama.modeling_llama
    model: HfName  # LlamaForCausalLM
    config: HfName  # LlamaConfig
    model_type: Annotated[str, matching(r"[A-Za-z0-9_-]+", "a model type")]
    version: Annotated[str, matching(r"[0-9a-z.]+", "a version")]
    rope_kinds: tuple[RopeKind, ...] = get_args(RopeKind)  # the kinds of rotary parameters that it takes
    in_folder: bool = False  # code that came with a checkpoint; `module` is the file there, without its ending


class Norm(Answers):
    """The norm used throughout the model."""

    kind: Literal["rms", "layer"] = "rms"
    weight: bool = True  # a gain
    offset: bool = False  # the gain is 1 + weight
    bias: bool = False  # of a layer norm
    eps: Factor = "norm_eps"

    def _fits(self) -> None:
        if self.bias and self.kind == "rms":
            raise ValueError("norm.bias=true is known for norm.kind=layer only")
        if not self.weight and (self.offset or self.bias):
            raise ValueError(
                "norm.weight=false leaves no gain to offset and no bias: norm.offset and norm.bias are false"
            )


class NormGate(Answers):
    """A gate on norms of layers: what one puts out, times sigmoid(up(act(down(it)))); `norm_gate_rank` wide."""

    # Which layers have one on the norm before attention, and on that before the MLP: none, all, or those with experts.
    attention: Literal["none", "every"] = "none"
    mlp: Literal["none", "every", "sparse"] = "none"
    activation: Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "relu2", "silu", "tanh"] = "silu"

    @property
    def present(self) -> bool:
        """Whether some norm has one."""
        return self.attention != "none" or self.mlp != "none"

    def _fits(self) -> None:
        if not self.present and self.activation != "silu":
            raise ValueError("norm_gate.activation is of a gate: it needs norm_gate.attention or norm_gate.mlp")


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


Activation = Literal[
    "configured", "gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "relu2", "silu", "tanh", "xielu"
]


class Mlp(Answers):
    """The channel block of one layer."""

    kind: Literal["gated", "plain"] = "gated"
    projections: Literal["separate", "concat"] = "separate"  # gate and up apart, or one matrix [gate | up]
    transposed: bool = False
    bias: Switch = False
    activation: Activation = "configured"  # a hyperparameter, or always the same
    multiple: int | Identifier | None = (
        None  # the width as a multiple of hidden_dim, where it is no hyperparameter of its own
    )
    joint_width: bool = False  # the width counts gate and up together: each has half of it
    inner_norm: bool = False  # a norm before the down projection

    def _fits(self) -> None:
        if self.joint_width and (self.kind == "plain" or self.multiple is not None):
            raise ValueError(
                "mlp.joint_width=true halves a width between gate and up: it needs mlp.kind=gated and mlp.multiple=null"
            )
        if self.kind == "plain" and self.projections != "separate":
            raise ValueError(
                "mlp.projections=concat joins gate and up, and a plain MLP has no gate: use mlp.kind=gated"
            )


class Moe(Answers):
    """A mixture of experts in the place of the MLP: which experts a token goes to, and what one is."""

    # Which have experts: every one, those after the first `num_dense_layers`, as `mlp_layer_types` says, of every
    # `sparse_step` layers the last, but for those whose numbers are among `dense_layers`, or those whose numbers are
    # among `sparse_layers`.
    layers: Literal["none", "every", "after", "listed", "stepped", "numbered"] = "none"
    # What an expert's weight is made of: a softmax over all, over those that were chosen, a sigmoid of each, or for two
    # experts, chosen one after the other, a softmax over those that are nearly as good.
    scores: Literal["softmax", "chosen_softmax", "sigmoid", "sparse_mixer"] = "softmax"
    router_bias: bool = False
    correction: bool = False  # a bias that is added for the choice, and does not weigh
    correction_of: Literal["scores", "logits"] = "scores"  # what that is added to
    correction_stored: Literal["vector", "row"] = "vector"  # in files: a number for each expert, or one row of them
    groups: bool = False  # experts lie in groups, and the best of them are chosen first
    # Experts of the other groups are never chosen; or they count as 0, and are better than those that count as less.
    other_groups: Literal["never", "zero"] = "never"
    normalized: Switch = False  # the weights of a token's experts are divided by their sum
    norm_order: Factor | None = None  # or by their norm of this order, which is 1 for the sum
    scale: Factor | None = None  # multiplies them
    weighs: Literal["output", "input"] = "output"  # what a weight multiplies: what an expert makes, or what it is given
    # In files: a tensor for each expert, one for all, or for all matrices of gate, of up and of down in which the rows
    # of one expert come after those of another, {in, out} those of down.
    stored: Literal["each", "stacked", "flat"] = "each"
    transposed: bool = False  # weights are stored {in, out}
    interleaved: bool = False  # rows of gate and up in turn
    bias: bool = False  # of the experts
    # act(gate) * up; or both cut to a limit, (up + 1) * gate * sigmoid(alpha * gate)
    gating: Literal["activation", "clamped"] = "activation"
    shared: Literal["none", "plain", "gated"] = "none"  # an expert that every token goes to; gated: times a sigmoid
    # The width of the shared expert, where it is none of its own: so many times that of the others.
    shared_multiple: Annotated[int, Meta(ge=1)] | Identifier | None = None
    # The layer adds it, an MLP beside the mixture: it is no part of the mixture's module.
    shared_beside: bool = False
    shared_optional: bool = False  # a width of 0 says that there is none
    balance: bool = True  # the loss of routers that are out of balance is a part of the model's

    @property
    def mixed(self) -> bool:
        """Whether some layers have experts and others an MLP."""
        return self.layers not in ("none", "every")

    def _fits(self) -> None:
        if self.scores == "sparse_mixer" and (self.groups or self.correction or self.normalized is not False):
            raise ValueError("moe.groups, correction and normalized are not known with moe.scores=sparse_mixer")
        if self.scores == "chosen_softmax" and (self.groups or self.correction):
            raise ValueError("moe.groups and moe.correction are known with moe.scores=softmax or sigmoid")
        if self.scores == "chosen_softmax" and self.normalized is not False:
            raise ValueError(
                "moe.normalized belongs to moe.scores=softmax or sigmoid: those chosen add up to 1 already"
            )
        if self.correction_of == "logits" and (not self.correction or self.groups or self.scores != "sigmoid"):
            raise ValueError(
                "moe.correction_of=logits is known with moe.correction=true, moe.scores=sigmoid and moe.groups=false"
            )
        if self.other_groups != "never" and not (self.groups and self.correction):
            raise ValueError(
                f"moe.other_groups={self.other_groups} differs from never where some count as less than 0: it needs "
                "moe.groups=true and moe.correction=true"
            )
        if self.correction_stored == "row" and not self.correction:
            raise ValueError("moe.correction_stored is of a bias that is added for the choice: moe.correction=true")
        if self.norm_order is not None and self.normalized is not True:
            raise ValueError("moe.norm_order is of the norm that weights are divided by: it needs moe.normalized=true")
        if self.stored != "stacked" and (self.bias or self.transposed or self.interleaved):
            raise ValueError("moe.bias, transposed and interleaved are known with moe.stored=stacked")
        if self.shared_multiple is not None and self.shared == "none":
            raise ValueError("moe.shared_multiple is the width of a shared expert, and moe.shared is none")
        if self.shared_beside and (self.shared != "plain" or self.layers != "every"):
            raise ValueError(
                "moe.shared_beside=true is known with moe.shared=plain and moe.layers=every, and they are "
                f"{self.shared} and {self.layers}"
            )
        if self.shared_optional and (not self.shared_beside or self.shared_multiple is not None):
            raise ValueError(
                "moe.shared_optional=true is known of a shared expert with a width of its own, beside the mixture: "
                "moe.shared_beside=true and moe.shared_multiple=null"
            )
        given = [answer for answer, _ in self.differing()]
        if self.layers == "none" and given:
            raise ValueError(f"moe.{given[0]} needs layers with experts: moe.layers=every")


# In which layers a thing is: all of them, or all but one, at an end of the stack, that is unlike the others.
InLayers = Literal["every", "first", "last", "but_first", "but_last"]


MixerType = Literal["none", "linear_attention", "conv", "mamba", "recurrent"]


class Layer(Answers):
    """What feeds what in a decoder layer."""

    norms: Literal["pre", "post", "sandwich", "output"] = (
        "pre"  # before each block; after each sum; around each block; after each block
    )
    parallel: Literal["no", "shared", "separate"] = (
        "no"  # attention and MLP side by side, with one norm before both or one each
    )
    mlp: bool = True  # a layer has a channel block, an MLP or experts; without one it is what mixes positions, alone
    # What `mixer_types` calls the layers in which something else stands in the place of attention, full_attention in
    # others.
    mixer: MixerType = "none"
    residual_scale: Factor | None = None  # multiplies what a block adds
    # Averaged: the stream is the sum of the embedding and of all blocks so far, over the square root of their number.
    sums: Literal["plain", "averaged"] = "plain"
    # Which layers have the norm before a block.
    attention_norm: InLayers = "every"
    mlp_norm: InLayers = "every"
    # Which layers have a norm after the block, beside those that layer.norms says: those with experts, after these.
    mlp_output_norm: Literal["none", "sparse"] = "none"
    # Which layers add a bias, beside that of the output projection, to what attention puts out.
    added_bias: InLayers | Literal["none"] = "none"

    def _fits(self) -> None:
        if self.parallel != "no" and self.norms != "pre":
            raise ValueError(
                f"layer.parallel={self.parallel} is known with layer.norms=pre only, and layer.norms is {self.norms}"
            )
        if self.sums == "averaged" and (
            self.norms == "post" or self.parallel != "no" or self.residual_scale is not None
        ):
            raise ValueError(
                "layer.sums=averaged is known with blocks one after the other that are added as they are: "
                "layer.norms is not post, layer.parallel=no and layer.residual_scale=null"
            )
        for answer in ("attention_norm", "mlp_norm"):
            if getattr(self, answer) != "every" and self.norms not in ("pre", "sandwich"):
                raise ValueError(
                    f"layer.{answer} is of norms before a block: layer.norms=pre or sandwich, and layer.norms is "
                    f"{self.norms}"
                )
        if not self.mlp and (self.norms != "pre" or self.parallel != "no" or self.sums != "plain"):
            raise ValueError(
                "layer.mlp=false is known with layer.norms=pre, layer.parallel=no and layer.sums=plain, and they are "
                f"{self.norms}, {self.parallel} and {self.sums}"
            )
        if not self.mlp and (self.mlp_norm != "every" or self.mlp_output_norm != "none"):
            raise ValueError("layer.mlp_norm and mlp_output_norm are around an MLP: they need layer.mlp=true")
        if self.mlp_norm != "every" and self.parallel == "shared":
            raise ValueError("layer.parallel=shared has one norm before both blocks, which is layer.attention_norm")
        if self.mlp_output_norm != "none" and (self.norms != "pre" or self.parallel != "no"):
            raise ValueError(
                f"layer.mlp_output_norm={self.mlp_output_norm} is known with layer.norms=pre and layer.parallel=no, "
                f"which have none of their own there, and layer.norms is {self.norms}, layer.parallel {self.parallel}"
            )
        if self.mixer != "none" and (self.in_some or self.added_bias != "none"):
            raise ValueError(
                f"layer.mixer={self.mixer} makes two kinds of layers: they are alike otherwise, with "
                "layer.attention_norm=every, mlp_norm=every and added_bias=none"
            )
        if len(self._odd) > 1:
            raise ValueError(
                f"layers are unlike the others at one end of the stack, and not at both: "
                f"{' and '.join(f'layer.{answer}={which}' for answer, which in self.in_some.items())}"
            )

    @property
    def in_some(self) -> dict[str, InLayers]:
        """Answer -> in which layers that thing is, of those that aren't in every layer, or in none."""
        held = {answer: getattr(self, answer) for answer in ("attention_norm", "mlp_norm", "added_bias")}
        return {answer: which for answer, which in held.items() if which not in ("every", "none")}

    @property
    def _odd(self) -> set[str]:
        return {which.removeprefix("but_") for which in self.in_some.values()}

    @property
    def odd(self) -> str | None:
        """The layer that is unlike the others: first, last, or None where all are alike."""
        return next(iter(self._odd), None)


class Embeddings(Answers):
    scale: Factor | None = None  # multiplies the token embedding
    norm: bool = False  # a norm after the embedding
    # Rows after those of the vocabulary: tokens that are given and never predicted.
    extra_rows: Annotated[int, Meta(ge=0, le=16)] = 0


class Head(Answers):
    tied: Literal["configured", "never"] = "configured"  # to the embeddings: a hyperparameter says so, or nothing does
    bias: Switch = False
    scale: Factor | None = None  # multiplies the logits
    softcap: Factor | None = None

    final_norm: bool = True  # a norm between the last layer and the head


class HeadTransform(Answers):
    """What stands between the last hidden state and the output matrix: a linear map, an activation, a norm."""

    kind: Literal["none", "dense"] = "none"
    bias: Switch = False
    activation: Activation = "configured"  # a hyperparameter, `head_activation`, or always the same
    norm: bool = True

    def _fits(self) -> None:
        given = [answer for answer, _ in self.differing()]
        if self.kind == "none" and given:
            raise ValueError(f"head_transform.{given[0]} needs a transform: head_transform.kind=dense")


class Initialization(Answers):
    """How the reference draws its weights: Normal(0, std), zeros for biases."""

    std: Factor = "initializer_range"
    embedding_std: Factor | None = None  # of embeddings and the head, where it is another
    head_std: Factor | None = None  # of the head alone, where it is not that of the embeddings
    router_std: Factor | None = None  # of routers, where it is another
    gain: Annotated[float, Meta(ge=0, le=2)] = 1.0  # of norms
    # Scaled: projections back into the residual stream get std / sqrt(2 * num_layers); or only those of attention.
    residual: Literal["same", "scaled", "scaled_attention"] = "same"
    head_scaled: bool = False  # so do a head that is not tied, and the transform before it
    cutoff: Factor | None = None  # no weight is further from 0 than so many standard deviations

    def _fits(self) -> None:
        if self.head_scaled and self.head_std is not None:
            raise ValueError("initialization.head_scaled and head_std are both about the head: give one of them")


StubKind = Literal["attention", "mlp", "decoder_layer", "transformer", "embeddings", "lm_head"]
STUBS: tuple[StubKind, ...] = get_args(StubKind)


# Parts that a survey may leave unknown, while it finds all that lies around them.
# `mixer`: what stands in the place of attention in some layers; `decoder_layer`: all that is in a layer.
UnknownPart = Literal["activation", "mlp", "attention", "mixer", "decoder_layer"]
# Of sizes of axes: over hyperparameters.
Size = Annotated[str, matching(EXPRESSION, "a sum, product or quotient of hyperparameters", 100)]


class UnknownWeight(Answers):
    """A tensor of a module that is unknown: its name below the module in the checkpoint, and its axes."""

    name: Path
    axes: tuple[Identifier, ...]
    # The deviation of a fresh one, `initializer_range` for that, `inputs` for the 1 / sqrt(3 * inputs) that torch draws
    # maps with by itself; of a constant, its value.
    fresh: float | str = 0.0
    mean: float = 0.0  # of a fresh one that is drawn
    constant: bool = False
    when: Identifier | None = None  # it is there where this hyperparameter says so
    trained: bool = True


class Unknown(Answers):
    """A module that nothing known explains: what was observed, where it is in the reference, and what it holds."""

    observed: Text
    where: Text
    weights: tuple[UnknownWeight, ...] = ()
    linear: dict[Path, bool] = {}  # modules in it that are linear maps; whether their weights lie {out, in}
    axes: dict[Identifier, Size] = {}  # axes that nothing else in the model has
    reads: tuple[Identifier, ...] = ()  # hyperparameters that act in it alone


class Architecture(Answers, kw_only=True):
    """One model, whole. A card is this class written as YAML."""

    title: Text
    papers: tuple[Paper, ...] = ()
    reference: Reference | None = None
    hyperparameters: dict[Identifier, Hyperparameter]
    fixed: dict[HfPath, Any] = {}  # HF fields that must have this value
    derived: dict[HfPath, Unset] = {}  # HF fields that must have the value of an expression over others
    ignored: dict[HfPath, Text] = {}  # HF fields that don't touch the function, with the reason
    given: dict[HfPath, Any] = {}  # of these what has to be written, because the reference reads it and has no default
    # Steps of names in checkpoints that transformers renames as it loads: block_sparse_moe -> mlp.
    renamed: dict[Path, Path] = {}
    norm: Norm = Norm()
    norm_gate: NormGate = NormGate()
    positions: Positions = Positions()
    attention: Attention = Attention()
    mlp: Mlp = Mlp()
    moe: Moe = Moe()
    layer: Layer = Layer()
    embeddings: Embeddings = Embeddings()
    head: Head = Head()
    head_transform: HeadTransform = HeadTransform()
    initialization: Initialization = Initialization()
    names: dict[Identifier, dict[Identifier, Path | None]] = {}  # part -> role -> name in the checkpoint
    stubs: tuple[StubKind, ...] = ()  # parts that are left for a person to write
    unknown: dict[UnknownPart, Unknown] = {}  # parts that a survey didn't understand, and what it did see of them

    def _fits(self) -> None:
        if self.initialization.gain != 1.0 and not self.norm.weight:
            raise ValueError("initialization.gain belongs to norms with a gain, and norm.weight is false")
        if self.mlp.activation == "xielu" and self.moe.layers != "none":
            raise ValueError("mlp.activation=xielu has parameters, which experts don't: it needs moe.layers=none")
        if not self.layer.mlp and (self.moe.layers != "none" or any(self.mlp.differing())):
            raise ValueError("mlp and moe say what a layer's channel block is, and layer.mlp=false leaves it out")
        if "decoder_layer" in self.unknown:
            inner = [self.attention, self.mlp, self.moe, self.layer, self.norm_gate]
            if len(self.unknown) > 1 or any(any(group.differing()) for group in inner):
                raise ValueError(
                    "all that is in a layer is unknown: attention, mlp, moe, layer and norm_gate have no answers, and "
                    "no part of a layer is unknown beside it"
                )
        if (self.layer.mixer != "none") != ("mixer" in self.unknown):
            raise ValueError(
                f"layer.mixer={self.layer.mixer} is known as a stub only, of a survey: it goes with unknown.mixer"
            )
        if self.layer.mixer != "none" and self.moe.mixed:
            raise ValueError(
                f"moe.layers={self.moe.layers} makes two kinds of layers, and layer.mixer={self.layer.mixer} would "
                "make more: it is known with moe.layers=none or every"
            )
        if self.layer.mixer != "none" and (
            self.attention.window not in ("none", "every") or self.positions.layers != "every"
        ):
            raise ValueError(
                f"layer.mixer={self.layer.mixer} is known with attention that is alike in all layers that have it: "
                "attention.window=none or every, and positions.layers=every"
            )
        if not self.layer.mlp and {"mlp", "activation"} & set(self.unknown):
            raise ValueError("an MLP is unknown, and layer.mlp=false leaves it out")
        if self.initialization.router_std is not None and self.moe.layers == "none":
            raise ValueError("initialization.router_std is of routers: it needs layers with experts, moe.layers")
        if self.embeddings.extra_rows and self.head.tied != "never":
            raise ValueError("embeddings.extra_rows are no rows of the head: it needs head.tied=never")
        if self.attention.norm_after_rotation and self.positions.kind != "rotary":
            raise ValueError(
                f"attention.norm_after_rotation=true needs positions.kind=rotary, and positions.kind is "
                f"{self.positions.kind}"
            )
        if self.attention.heads == "latent" and not self.positions.turn_every_layer:
            raise ValueError(
                "attention.heads=latent turns a part of each head in every layer: it needs positions.kind=rotary with "
                "positions.layers=every, and neither positions.local_rope nor positions.rotary_dim"
            )
        if self.attention.qk_norm_layers == "rotating" and self.positions.layers == "every":
            raise ValueError("attention.qk_norm_layers=rotating tells layers apart by rotation: positions.layers")
        if self.attention.heads == "latent" and self.positions.temperature != "none":
            raise ValueError("positions.temperature is not known with attention.heads=latent")
        low_rank = self.hyperparameters.get("q_lora_rank")
        for answer in ("indexer", "gate_in", "query_latent") if low_rank is not None and low_rank.optional else ():
            if getattr(self.attention, answer) != usual(Attention)[answer]:
                raise ValueError(
                    f"attention.{answer} reads queries of low rank, and hyperparameters.q_lora_rank may be null: it "
                    "needs optional=false"
                )
        for part in ("attention", "mlp"):
            where = getattr(self.norm_gate, part)
            if where != "none" and not self.has_norm_before(part):
                raise ValueError(f"norm_gate.{part}={where} is on a norm that no layer has: see layer.norms")
        if self.norm_gate.mlp == "sparse" and not self.moe.mixed:
            raise ValueError(
                "norm_gate.mlp=sparse tells layers apart by experts: it needs moe.layers by which some have experts"
            )
        if self.norm_gate.present and "decoder_layer" in self.stubs:
            raise ValueError("norm_gate is about norms of a layer, and the layer is a stub")
        by_layer = self.positions.local_rope or self.positions.layers == "windowed"
        if by_layer and self.attention.window not in ("by_layer", "by_run"):
            answer = "local_rope" if self.positions.local_rope else "layers"
            raise ValueError(
                f"positions.{answer} tells layers apart by their window: it needs attention.window=by_layer"
            )
        if self.positions.layers == "windowed_or_dense" and not (
            self.attention.window == "by_layer" and self.moe.mixed
        ):
            raise ValueError(
                "positions.layers=windowed_or_dense tells layers apart by window and experts: it needs "
                "attention.window=by_layer, and moe.layers by which some have experts"
            )
        if self.initialization.cutoff is not None and (self.moe.layers != "none" or self.attention.heads == "latent"):
            raise ValueError("initialization.cutoff is known with moe.layers=none and without latent heads")
        if self.layer.mlp_output_norm == "sparse" and self.moe.layers == "none":
            raise ValueError("layer.mlp_output_norm=sparse is of layers with experts: it needs moe.layers")
        if self.layer.odd is not None and self.attention.uneven:
            raise ValueError(
                "attention.local_kv_multiple and sinks_in make two kinds of layers, and "
                f"layer.{next(iter(self.layer.in_some))} would make more"
            )
        if self.layer.odd is not None and self.moe.mixed:
            raise ValueError(
                f"moe.layers={self.moe.layers} makes two kinds of layers, and layer.{next(iter(self.layer.in_some))} "
                "would make more: these are known with moe.layers=none or every"
            )

    def has_norm_before(self, part: Literal["attention", "mlp"]) -> bool:
        """Whether layers have the norm that stands before a block, or after its sum with norms that come last."""
        if self.layer.norms == "output":
            return False
        return part == "attention" or (self.layer.mlp and self.layer.parallel != "shared")

    def factors(self) -> Iterator[tuple[str, str]]:
        """(answer, hyperparameter) for every answer that refers to a hyperparameter by name."""
        for group, answers in self.groups().items():
            kinds = get_type_hints(type(answers))
            for answer, value in answers.items():
                if isinstance(value, str) and "Literal" not in str(kinds[answer]):
                    for power in value.split(" * "):
                        yield f"{group}.{answer}", power.partition("**")[0]

    def groups(self) -> dict[str, Answers]:
        """The groups of structural answers by name, in the order in which a card shows them."""
        return {name: value for name, value in self.items() if isinstance(value, Answers) and name != "reference"}
