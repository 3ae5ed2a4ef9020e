"""What the templates of a port read: names, axes and expressions, worked out from an architecture.

What a template would have to compute is computed here, so that the templates read like the files that they write.
"""

import re
from functools import cached_property
from typing import Any, get_args

from levgen.architecture.answers import Factor, Switch
from levgen.architecture.schema import Architecture, UnknownPart
from levgen.scaffold.learned_activations import LEARNED_ACTIVATIONS, LearnedActivation
from levgen.scaffold.literals import over_hf
from levgen.scaffold.names import ModelName
from levgen.scaffold.parts import AxisSpec, classes_of, load_part, needed_axes, needed_hyperparameters
from levgen.scaffold.views.attention import AttentionView
from levgen.scaffold.views.config import HyperparameterView, hyperparameter_views
from levgen.scaffold.views.embeddings import EmbeddingsView
from levgen.scaffold.views.fields import PartView, below, common_prefix, usable
from levgen.scaffold.views.gated_norm import gated_norm_view
from levgen.scaffold.views.head_transform import head_transform_view
from levgen.scaffold.views.indexer import IndexerView
from levgen.scaffold.views.kinds import KindsView
from levgen.scaffold.views.latent_attention import LatentAttentionView
from levgen.scaffold.views.layer import LayerView
from levgen.scaffold.views.mlp import mlp_view
from levgen.scaffold.views.moe import MoeView
from levgen.scaffold.views.parity import ParityView
from levgen.scaffold.views.summary import summary
from levgen.scaffold.views.unknown import UnknownView


class PortView:
    """An architecture under a name, as the templates see it.

    `embeddings_class`: the embeddings have a class of their own even where they are a look-up and nothing else.
    """

    def __init__(self, architecture: Architecture, name: ModelName, *, embeddings_class: bool = False) -> None:
        self.architecture = architecture
        self._own_embeddings = embeddings_class
        self.name = name.snake
        self.Name = name.camel
        self.title = architecture.title
        self.specs = needed_hyperparameters(architecture)

    # Config -----------------------------------------------------------------------------------------------------

    @cached_property
    def hyperparameters(self) -> list[HyperparameterView]:
        return hyperparameter_views(self)

    @cached_property
    def axes(self) -> list[AxisSpec]:
        return needed_axes(self.architecture)

    @cached_property
    def fixed(self) -> list[str]:
        """Entries of the table of HF fields that may have one value only, which may be computed from others."""
        fixed, derived = self.architecture.fixed, self.architecture.derived
        return [
            *(f'"{name}": {value!r}' for name, value in fixed.items()),
            *(f'"{name}": lambda hf: {over_hf(expression)}' for name, expression in derived.items()),
        ]

    @property
    def given(self) -> list[str]:
        """Entries of the table of HF fields that are written, and read nowhere."""
        return [f'"{name}": {value!r}' for name, value in self.architecture.given.items()]

    def value(self, factor: Factor | Switch | None, owner: str = "self.config") -> str:
        """Python source of an answer that is a number, a truth value, a hyperparameter, a power of one or a product."""
        if not isinstance(factor, str):
            return repr(factor)
        product = " * ".join(self._power(power, owner) for power in factor.split(" * "))
        product = re.sub(r" \* (\S+)\*\*-1(?=$| )", r" / \1", product)
        return re.sub(r" \* (\S+)\*\*-0\.5(?=$| )", r" / math.sqrt(\1)", product)  # int**-0.5 has no type

    def _power(self, power: str, owner: str) -> str:
        name, raised, exponent = power.partition("**")
        head_size = "QkHeadSize" if self.architecture.attention.heads == "latent" else "HeadSize"
        source = f"{owner}.{head_size}.size" if name == "head_dim" else f"{owner}.{name}"
        return f"{source}**{exponent}" if raised else source

    def times(self, factor: Factor, owner: str = "self.config") -> str:
        """The end of a product with `factor`: ` * self.config.logit_scale`, or ` / ...` for a power of -1."""
        if isinstance(factor, str) and " * " in factor:
            return f" * ({self.value(factor, owner)})"
        if isinstance(factor, str) and factor.endswith("**-1"):
            return f" / {self.value(factor.removesuffix('**-1'), owner)}"
        if isinstance(factor, str) and factor.endswith("**0.5"):
            return f" * math.sqrt({self.value(factor.removesuffix('**0.5'), owner)})"
        return f" * {self.value(factor, owner)}"

    def optional(self, name: str) -> bool:
        """Whether the hyperparameter `name` may be None."""
        parameter = self.architecture.hyperparameters.get(name)
        return parameter is not None and parameter.optional

    @cached_property
    def summary(self) -> str:
        """`a decoder with rotary positions, grouped-query attention and a gated MLP`"""
        return summary(self.architecture)

    @cached_property
    def reference_lines(self) -> list[str]:
        """The reference and its version, on two lines where one doesn't hold them."""
        reference = self.architecture.reference
        if reference is None:
            return ["none in transformers"]
        if reference.in_folder:
            return [f"{reference.module}.{reference.model}, code that comes with the checkpoint"]
        model, version = f"{reference.module}.{reference.model}", f"(transformers {reference.version})"
        return [f"{model} {version}"] if len(model) + len(version) < 108 else [model, version]

    @cached_property
    def switches(self) -> list[str]:
        """The boolean hyperparameters that answers refer to, such as `attention_bias`."""
        return sorted({name for _, name in self.architecture.factors() if isinstance(self.default(name), bool)})

    def default(self, name: str) -> Any:
        """The default of the hyperparameter `name`; None where there is none."""
        parameter = self.architecture.hyperparameters.get(name)
        return None if parameter is None else parameter.default

    @cached_property
    def parity(self) -> ParityView:
        return ParityView(self)

    @cached_property
    def unknown(self) -> dict[UnknownPart, UnknownView]:
        """The modules that a survey didn't understand, in the order of their classes."""
        return {part: UnknownView(self, part) for part in get_args(UnknownPart) if part in self.architecture.unknown}

    # Signatures -------------------------------------------------------------------------------------------------

    @cached_property
    def positions_in_layers(self) -> bool:
        """Whether a layer is told positions: they enter at queries and keys, not at the embeddings, or nobody knows."""
        a = self.architecture
        counted = a.attention.local == "chunk" or a.positions.temperature != "none"
        unknown = bool({"attention", "decoder_layer"} & set(a.unknown))
        return unknown or a.positions.kind in ("rotary", "alibi") or counted

    @cached_property
    def told_attention(self) -> list[str]:
        """What differs from layer to layer in attention, as properties of the config and arguments of one layer's."""
        windowed = ["windowed"] if self.architecture.attention.window in ("by_layer", "by_run") else []
        shown = self.architecture.positions.layers in ("every", "windowed")
        return windowed + ([] if shown else ["rotates"])

    @cached_property
    def by_layer(self) -> list[str]:
        """What differs from layer to layer, as properties of the config over all layers, and arguments of one."""
        return self.told_attention + (["terms"] if self.architecture.layer.sums == "averaged" else [])

    @cached_property
    def stack_parameters(self) -> str:
        """Parameters of the stack of layers, after the hidden states."""
        return ", mask: AttentionMask" + (", pos_ids: NamedArray" if self.positions_in_layers else "")

    @cached_property
    def stack_arguments(self) -> str:
        return ", mask" + (", pos_ids" if self.positions_in_layers else "")

    @cached_property
    def layer_parameters(self) -> str:
        """Parameters of one layer: those of the stack, and what differs from layer to layer."""
        return self.stack_parameters + "".join(f", {name}: NamedArray" for name in self.by_layer)

    @cached_property
    def attention_parameters(self) -> str:
        """Parameters of a layer's attention."""
        return self.stack_parameters + "".join(f", {name}: NamedArray" for name in self.told_attention)

    @cached_property
    def attention_arguments(self) -> str:
        return self.stack_arguments + "".join(f", {name}" for name in self.told_attention)

    def of_layers(self, owner: str, index: str | None = None, *, attention: bool = False) -> str:
        """Arguments that differ from layer to layer: of layer `index`, or for all of them; or of its attention."""
        at = "" if index is None else f'["layer", {index}]'
        return "".join(f", {owner}.{name}{at}" for name in (self.told_attention if attention else self.by_layer))

    @cached_property
    def hands_choice_on(self) -> bool:
        """Whether layers hand on which keys were chosen: beside hidden states, a layer is given and gives those."""
        a = self.architecture
        return a.attention.indexer == "listed" and not {"attention", "decoder_layer"} & {*a.stubs, *a.unknown}

    # Parts ------------------------------------------------------------------------------------------------------

    def weight(self, part: str, role: str) -> str | None:
        """What plays `role` in `part` by its name in the checkpoint; None: its weights lie in the module around it."""
        own = self.architecture.names.get(part, {})
        if role in own:
            return own[role]
        usual = load_part(part).names[role]
        return role if usual in own.values() else usual  # another role may bear the usual name

    @cached_property
    def std(self) -> str:
        """Standard deviation of a fresh weight, over `config`."""
        return self.value(self.architecture.initialization.std, "config")

    @cached_property
    def embedding_std(self) -> str:
        """The same for embeddings and the head."""
        own = self.architecture.initialization.embedding_std
        return self.std if own is None else self.value(own, "config")

    @cached_property
    def head_std(self) -> str:
        """The same for a head that is not tied."""
        own = self.architecture.initialization.head_std
        if self.architecture.initialization.head_scaled:
            return self.head_transform_std
        return self.embedding_std if own is None else self.value(own, "config")

    @cached_property
    def head_transform_std(self) -> str:
        """The same for the linear map before the output matrix."""
        return self.std + (" / (2 * config.num_layers) ** 0.5" if self.architecture.initialization.head_scaled else "")

    @cached_property
    def cutoff(self) -> str | None:
        """How many standard deviations a fresh weight may be from 0, over `config`; None for any number."""
        cutoff = self.architecture.initialization.cutoff
        return None if cutoff is None else self.value(cutoff, "config")

    @property
    def linear(self) -> str:
        """What makes a linear map: where fresh weights are cut off, a function that knows where."""
        return "Linear.init" if self.cutoff is None else "linear"

    def std_name(self, part: str) -> str:
        """The variable with the deviation of `part`'s projection back into the residual stream."""
        residual = self.architecture.initialization.residual
        return "residual_std" if residual in ("scaled", f"scaled_{part}") else "std"

    @cached_property
    def norm_class(self) -> str:
        return {"rms": "RmsNorm", "layer": "LayerNorm"}[self.architecture.norm.kind]

    def norm_init(self, axis: str, eps: str | None = None, *, bare: bool = False) -> str:
        """The call that makes a norm over `axis`. `eps`: Python source, where it is another than usual.

        `bare`: it has neither gain nor bias, whatever other norms have.
        """
        norm = self.architecture.norm
        has_weight, has_bias = norm.weight and not bare, norm.bias and not bare
        weight = "" if has_weight else ", use_weight=False"
        bias = "" if norm.kind == "rms" or has_bias else ", use_bias=False"
        offset = ", offset=1.0" if norm.offset and has_weight else ""
        fresh = self.architecture.initialization.gain if has_weight else 1.0
        gain = "" if fresh == 1.0 else f", gain={fresh}"
        eps = self.value(norm.eps, "config") if eps is None else eps
        return f"{self.norm_class}.init({axis}, eps={eps}{weight}{bias}{offset}{gain})"

    @cached_property
    def heads_axis(self) -> str:
        """The name of the axis that tensor parallelism splits attention along."""
        if {"attention", "decoder_layer"} & set(self.architecture.unknown):
            return "heads"  # as it will usually be called
        attribute = self.attention.query_axes[0]
        return next(axis.name for axis in self.axes if axis.attribute == attribute)

    @cached_property
    def kinds(self) -> KindsView:
        return KindsView(self)

    @cached_property
    def layer(self) -> LayerView:
        return LayerView(self)

    @cached_property
    def embeddings(self) -> EmbeddingsView:
        return EmbeddingsView(self, own_class=self._own_embeddings)

    @cached_property
    def attention(self) -> AttentionView:
        return (LatentAttentionView if self.architecture.attention.heads == "latent" else AttentionView)(self)

    @cached_property
    def indexer(self) -> IndexerView:
        return IndexerView(self)

    @cached_property
    def mlp(self) -> PartView:
        return mlp_view(self)

    @cached_property
    def learned_activation(self) -> LearnedActivation | None:
        """The activation of the MLP, where it has parameters and is known."""
        known = not {"mlp", "activation"} & set(self.architecture.unknown)
        return LEARNED_ACTIVATIONS.get(self.architecture.mlp.activation) if known else None

    @cached_property
    def untrained(self) -> list[str]:
        """The fields of what the reference keeps in buffers: no gradient reaches them."""
        own = [] if self.learned_activation is None else self.learned_activation.buffers
        return [*own, *(name for unknown in self.unknown.values() for name in unknown.untrained)]

    @cached_property
    def classes(self) -> list[str]:
        """The parts that the file has a class for, in order."""
        return classes_of(self.architecture)

    @cached_property
    def mlp_class(self) -> str:
        """The class of a layer's channel block; the two of them where layers are of two kinds."""
        if self.kinds.mixed:
            return f"{self.Name}Moe | {self.Name}Mlp"
        return f"{self.Name}Mlp" if self.architecture.moe.layers == "none" else f"{self.Name}Moe"

    @cached_property
    def mlp_takes_axis(self) -> bool:
        """Whether the MLP is told how wide it is: it serves as a layer's own and as the shared expert."""
        return self.kinds.mixed and self.architecture.moe.shared != "none"

    @cached_property
    def moe(self) -> MoeView:
        return MoeView(self)

    @cached_property
    def balance(self) -> bool:
        """Whether the loss has a term for routers that are out of balance."""
        moe = self.architecture.moe
        return moe.layers != "none" and moe.balance

    @cached_property
    def head_transform(self) -> PartView:
        """What stands before the output matrix; names are those below the module that holds it in the checkpoint."""
        return head_transform_view(self)

    @cached_property
    def head_transform_prefix(self) -> str | None:
        """The common prefix of the names in the checkpoint of what stands before the output matrix."""
        roles = ("dense", "norm") if self.architecture.head_transform.norm else ("dense",)
        return common_prefix([self.weight("head_transform", role) or role for role in roles])

    @cached_property
    def gated_norm(self) -> PartView:
        """A norm of a layer with a gate on it."""
        return gated_norm_view(self)

    @cached_property
    def transformer_key_map(self) -> tuple[str | None, dict[str, str]]:
        """The common prefix of the stack's names, and field -> name below it where they differ."""
        paths = {"layers": self.weight("transformer", "layers") or "layers"}
        if self.architecture.head.final_norm:
            paths["norm"] = self.weight("transformer", "norm") or "norm"
        prefix = common_prefix(list(paths.values()))
        named = {name: below(path, prefix) for name, path in paths.items()}
        return prefix, {name: path for name, path in named.items() if name != path}

    @cached_property
    def model_key_map(self) -> dict[str, str | None]:
        embeddings, transformer = self.embeddings.prefix, self.transformer_key_map[0]
        names: dict[str, str | None] = {"embeddings": embeddings, "transformer": transformer}
        if self.architecture.head_transform.kind != "none":
            names["head_transform"] = self.head_transform_prefix
        head = self.weight("lm_head", "head") or "lm_head"
        if head != "lm_head":
            names["lm_head"] = head
        if self.architecture.head.bias:
            names["lm_head_bias"] = f"{head}.bias"
        return {ours: theirs for ours, theirs in names.items() if ours != theirs}

    def field(self, part: str, role: str, key_map: dict[str, str | None]) -> str:
        """The field for `role`: the checkpoint's name where Python allows it, else the role and a line in `key_map`."""
        theirs = self.weight(part, role)
        ours = theirs if theirs is not None and usable(theirs) else role
        if ours != theirs:
            key_map[ours] = theirs
        return ours
