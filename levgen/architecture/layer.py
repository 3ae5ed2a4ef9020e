"""What feeds what in a layer: the answers about norms, the gates on them, and the sums."""

from typing import Literal

from levgen.architecture.answers import Answers, Factor


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
