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
from levgen.architecture.attention import Attention, Positions
from levgen.architecture.channels import Activation, Mlp, Moe
from levgen.architecture.layer import Layer, Norm, NormGate


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
