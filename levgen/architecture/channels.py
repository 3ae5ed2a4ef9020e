"""What a layer does to each token alone: the answers about the MLP and the mixture of experts."""

from typing import Annotated, Literal

from msgspec import Meta

from levgen.architecture.answers import Answers, Factor, Identifier, Switch

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
