"""What the templates of a port read: names, axes and expressions, worked out from an architecture.

What a template would have to compute is computed here, so that the templates read like the files that they write.
"""

import keyword
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from levgen.architecture.answers import Factor, Switch
from levgen.architecture.schema import Architecture, Embeddings, UnknownPart
from levgen.scaffold.attention_view import AttentionView
from levgen.scaffold.complete import hyperparameter_type
from levgen.scaffold.fields import NormField, PartView, Projection
from levgen.scaffold.indexer_view import IndexerView
from levgen.scaffold.latent_attention_view import LatentAttentionView
from levgen.scaffold.learned_activations import LEARNED_ACTIVATIONS, LearnedActivation
from levgen.scaffold.literals import literal, one_line_yaml, over_hf
from levgen.scaffold.moe_view import MoeView
from levgen.scaffold.names import ModelName
from levgen.scaffold.parity_view import ParityView
from levgen.scaffold.parts import AxisSpec, classes_of, load_part, needed_axes, needed_hyperparameters
from levgen.scaffold.unknown_view import UnknownView

# Names that a generated class uses for itself: a weight of such a name gets another field, and a line in the key map.
_RESERVED = {"config", "act", "init"}


@dataclass(frozen=True)
class HyperparameterView:
    """One line of the config class and one of its table of HF fields."""

    name: str
    type: str
    default: str  # Python source
    hf: str | None
    unset: str | None  # Python source of a lambda's body over `hf`
    tiny: str  # Python source, for tests
    full_yaml: str
    nano_yaml: str | None  # None where the default serves on a laptop too
    comment: str | None = None


def _partial(tiny: Any, default: Any) -> Any:
    """A rotation for tests turns a half of each head, where that at full size has a fraction."""
    rotates_a_part = isinstance(tiny, dict) and isinstance(default, dict) and "fraction" in default
    return {**tiny, "fraction": 0.5} if rotates_a_part else tiny


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
        self._specs = needed_hyperparameters(architecture)

    # Config -----------------------------------------------------------------------------------------------------

    @cached_property
    def hyperparameters(self) -> list[HyperparameterView]:
        views = []
        for name, parameter in self.architecture.hyperparameters.items():
            spec = self._specs.get(name)
            kind = hyperparameter_type(name, parameter, self._specs)
            nano, tiny = (spec.nano, spec.tiny) if spec else (None, None)
            nano = nano if parameter.nano is None else parameter.nano
            tiny = _partial(tiny, parameter.default) if parameter.tiny is None else parameter.tiny
            views.append(
                HyperparameterView(
                    name,
                    kind,
                    literal(parameter.default, kind),
                    parameter.hf,
                    None if parameter.unset is None else over_hf(parameter.unset),
                    literal(parameter.default if tiny is None else tiny, kind),
                    one_line_yaml(parameter.default),
                    None if nano is None else one_line_yaml(nano),
                    self._reader_to_come(name),
                )
            )
        return views

    def _reader_to_come(self, name: str) -> str | None:
        """What says that only a stub will read a hyperparameter."""
        readers = [own for part, own in self.unknown.items() if name in self.architecture.unknown[part].reads]
        if not readers or any(re.search(rf"\b{name}\b", axis.size) for axis in self.axes):
            return None
        return f"levgen: ignore[LEV101] {readers[0].class_name}, which is to be written, reads it"

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

    # Words ------------------------------------------------------------------------------------------------------

    @cached_property
    def summary(self) -> str:
        """`a decoder with rotary positions, grouped-query attention and a gated MLP`"""
        a = self.architecture
        if a.stubs:
            return "a decoder whose parts are still to be written"
        if "decoder_layer" in a.unknown:
            return "a decoder whose layers are unknown"
        positions = {
            "rotary": "rotary positions",
            "learned": "learned positions",
            "sinusoidal": "sinusoidal positions",
            "alibi": "ALiBi positions",
            "none": "no position encoding",
        }
        attention = {
            "grouped": "grouped-query attention",
            "multi": "multi-head attention",
            "single": "multi-query attention",
            "latent": "latent attention",
        }
        mlp = {"gated": "a gated MLP", "plain": "a plain MLP"}[a.mlp.kind] if a.moe.layers == "none" else "experts"
        said = [positions[a.positions.kind], attention[a.attention.heads], mlp]
        if "attention" in a.unknown:
            said[:2] = ["an attention that is unknown"]
        if "mixer" in a.unknown:
            said[-2] += " or an unknown mixer"
        if "mlp" in a.unknown:
            said[-1] = "an MLP that is unknown"
        elif "activation" in a.unknown:
            said[-1] += " whose activation is unknown"
        if not a.layer.mlp:
            said[-1] = "no MLP"
        return f"a decoder with {', '.join(said[:-1])} and {said[-1]}"

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
    def attention(self) -> AttentionView:
        return (LatentAttentionView if self.architecture.attention.heads == "latent" else AttentionView)(self)

    @cached_property
    def indexer(self) -> IndexerView:
        return IndexerView(self)

    @cached_property
    def mlp(self) -> PartView:
        answers = self.architecture.mlp
        key_map: dict[str, str | None] = {}
        bias, out_first, made = self.value(answers.bias, "config"), not answers.transposed, self.linear
        width = "SharedMlp" if self.architecture.moe.shared != "none" and not self.mixed else "Mlp"
        owner = "" if self.mlp_takes_axis else "config."
        if answers.kind == "plain":
            inner = [("up", f"{owner}{width}", f"Embed -> {width}")]
        elif answers.projections == "concat":
            inner = [("gate_up", f"(config.GateUp, {owner}{width})", f"Embed -> (GateUp, {width})")]
        else:
            inner = [(role, f"{owner}{width}", f"Embed -> {width}") for role in ("gate", "up")]
        specs = [(role, "config.Embed", outputs, shape, "std") for role, outputs, shape in inner]
        specs.append(("down", f"{owner}{width}", "config.Embed", f"{width} -> Embed", self.std_name("mlp")))
        projections = [
            Projection(
                self.field("mlp", role, key_map), role, inputs, outputs, shape, bias, std, out_first, made_by=made
            )
            for role, inputs, outputs, shape, std in specs
        ]
        norms = []
        if answers.inner_norm:
            name = self.field("mlp", "inner_norm", key_map)
            norms.append(NormField(name, "inner_norm", width, self.norm_init(f"{owner}{width}")))
        is_module = "activation" in self.architecture.unknown or self.learned_activation is not None
        act = self.field("mlp", "act", key_map) if is_module else "act"
        return PartView(projections, norms, key_map, act=act)

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
        if self.mixed:
            return f"{self.Name}Moe | {self.Name}Mlp"
        return f"{self.Name}Mlp" if self.architecture.moe.layers == "none" else f"{self.Name}Moe"

    @cached_property
    def mixed(self) -> bool:
        """Whether some layers have experts and others an MLP."""
        return self.architecture.moe.mixed

    @cached_property
    def layer_kinds(self) -> tuple[str, str, str] | None:
        """Where layers hold unlike things: the config's property with the kind of each, and the two kinds of layers."""
        if self.mixed:
            return "mlp_layer_types", "sparse", "dense"
        if self.architecture.layer.mixer != "none":
            return "mixer_kinds", "attention", "mixer"
        odd = self.architecture.layer.odd
        others = {"first": "later", "last": "earlier"}
        return None if odd is None else ("layer_kinds", odd, others[odd])

    @cached_property
    def kinds_of_layers(self) -> str | None:
        """The config's property with the kind of each layer, where layers hold unlike things; else None."""
        if self.architecture.attention.uneven:
            return "layer_kinds" if self.mixed else "layer_types"
        if self.hands_choice_on:
            return "layer_kinds" if self.mixed else "indexers"
        return None if self.layer_kinds is None else self.layer_kinds[0]

    @cached_property
    def kinds_in_pairs(self) -> bool:
        """Whether a layer's kind is a pair: that of its attention, by its window or indexer, and that of its MLP."""
        return (self.architecture.attention.uneven or self.hands_choice_on) and self.mixed

    @property
    def sparse_when(self) -> str:
        """Whether a layer of the kind `kind` has experts, in Python."""
        return 'mlp == "sparse"' if self.kinds_in_pairs else 'kind == "sparse"'

    @property
    def windowed_when(self) -> str:
        """Whether a layer of the kind `kind` has a window, in Python."""
        return f'{"window" if self.kinds_in_pairs else "kind"} == "sliding_attention"'

    @property
    def chooses_when(self) -> str:
        """Whether a layer of the kind `kind` has an indexer, in Python."""
        return f'{"indexer" if self.kinds_in_pairs else "kind"} == "full"'

    @cached_property
    def hands_choice_on(self) -> bool:
        """Whether layers hand on which keys were chosen: beside hidden states, a layer is given and gives those."""
        a = self.architecture
        return a.attention.indexer == "listed" and not {"attention", "decoder_layer"} & {*a.stubs, *a.unknown}

    def layers_with(self, answer: str) -> tuple[str | None, str]:
        """(whether a layer of the kind `kind` has what `answer` is about, in Python; the same in words).

        None and no words where every layer has it.
        """
        layer = self.architecture.layer
        which: str | None = layer.in_some.get(answer)
        if answer == "mlp_output_norm" and layer.mlp_output_norm != "none":
            which = layer.mlp_output_norm
        if which is None or self.layer_kinds is None:
            return None, ""
        _, odd, other = self.layer_kinds
        if which == odd:
            return (
                self.sparse_when if self.mixed else f'kind == "{odd}"',
                f"in {odd} layers only" if self.mixed else f"in the {odd} layer only",
            )
        return f'kind == "{other}"', f"not in the {odd} layer"

    @cached_property
    def mlp_takes_axis(self) -> bool:
        """Whether the MLP is told how wide it is: it serves as a layer's own and as the shared expert."""
        return self.mixed and self.architecture.moe.shared != "none"

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
        answers, prefix = self.architecture.head_transform, self.head_transform_prefix
        key_map: dict[str, str | None] = {}
        fields: dict[str, str] = {}
        for role in ("dense", "norm") if answers.norm else ("dense",):
            theirs = _below(self.weight("head_transform", role) or role, prefix)
            fields[role] = theirs if usable(theirs) else role
            if fields[role] != theirs:
                key_map[fields[role]] = theirs
        axes, bias = ("config.Embed", "config.EmbedOut"), self.value(answers.bias, "config")
        dense = Projection(fields["dense"], "dense", *axes, "Embed -> EmbedOut", bias, "std", True, made_by=self.linear)
        norms = [NormField(fields["norm"], "norm", "Embed", self.norm_init("config.Embed"))] if answers.norm else []
        return PartView([dense], norms, key_map)

    @cached_property
    def head_transform_prefix(self) -> str | None:
        """The common prefix of the names in the checkpoint of what stands before the output matrix."""
        roles = ("dense", "norm") if self.architecture.head_transform.norm else ("dense",)
        return _common_prefix([self.weight("head_transform", role) or role for role in roles])

    @cached_property
    def layer(self) -> PartView:
        key_map: dict[str, str | None] = {}
        for role in (*self.blocks, *self.mixers):
            self.field("decoder_layer", role, key_map)
        norms = [
            NormField(
                self.field("decoder_layer", role, key_map),
                role,
                "Embed",
                self._layer_norm_init(role),
                *self.layers_with(role),
                self._layer_norm_class(role),
            )
            for role in self.layer_norm_roles
        ]
        if self.added_bias is not None:
            self.field("decoder_layer", "added_bias", key_map)
        if self.shared_beside is not None:
            self.field("decoder_layer", "shared", key_map)
        return PartView([], norms, key_map)

    def norm_gate(self, role: str) -> str:
        """In which layers the norm `role` of a layer has a gate: none, every, or sparse."""
        part, gates = role.removesuffix("_norm"), self.architecture.norm_gate
        return {"attention": gates.attention, "mlp": gates.mlp}.get(part, "none")

    def _layer_norm_init(self, role: str) -> str:
        """The call that makes a norm of a layer."""
        plain, gated = self.norm_init("config.Embed"), f"{self.Name}GatedNorm.init(config, key=k_{role})"
        where = self.norm_gate(role)
        return (
            f"{gated} if {self.sparse_when} else {plain}" if where == "sparse" else plain if where == "none" else gated
        )

    def _layer_norm_class(self, role: str) -> str | None:
        where = self.norm_gate(role)
        gated = f"{self.Name}GatedNorm"
        return {"none": None, "every": gated, "sparse": f"{gated} | {self.norm_class}"}[where]

    @cached_property
    def layer_keys(self) -> list[str]:
        """The parts of a layer that draw numbers."""
        gated = [role for role in self.layer_norm_roles if self.norm_gate(role) != "none"]
        blocks = [part for part in ("attention", *self.mixers, "mlp") if part in (*self.blocks, *self.mixers)]
        return [*blocks, *(["shared"] if self.shared_beside is not None else []), *gated]

    @cached_property
    def gated_norm(self) -> PartView:
        """A norm of a layer with a gate on it."""
        key_map: dict[str, str | None] = {}
        norm = NormField(self.field("gated_norm", "norm", key_map), "norm", "Embed", self.norm_init("config.Embed"))
        maps = [("down", "config.Embed", "config.NormGate"), ("up", "config.NormGate", "config.Embed")]
        projections = [
            Projection(
                self.field("gated_norm", role, key_map),
                role,
                inputs,
                outputs,
                f"{inputs} -> {outputs}".replace("config.", ""),
                "False",
                "std",
                True,
                made_by=self.linear,
            )
            for role, inputs, outputs in maps
        ]
        return PartView(projections, [norm], key_map)

    @cached_property
    def added_bias(self) -> str | None:
        """The field of a bias that a layer adds to what attention puts out."""
        return None if self.architecture.layer.added_bias == "none" else self.field("decoder_layer", "added_bias", {})

    @cached_property
    def shared_beside(self) -> str | None:
        """The field of an MLP that a layer adds to what its experts give."""
        return self.field("decoder_layer", "shared", {}) if self.architecture.moe.shared_beside else None

    @cached_property
    def blocks(self) -> tuple[Literal["attention", "mlp"], ...]:
        """What a layer adds to the stream, in order: nothing that is known of one that is unknown."""
        if "decoder_layer" in self.architecture.unknown:
            return ()
        return ("attention", "mlp") if self.architecture.layer.mlp else ("attention",)

    @cached_property
    def mixers(self) -> tuple[Literal["mixer"], ...]:
        """What stands in the place of attention in some layers."""
        return () if self.architecture.layer.mixer == "none" else ("mixer",)

    @cached_property
    def layer_norm_roles(self) -> list[str]:
        layer = self.architecture.layer
        if not self.blocks:
            return []
        if not layer.mlp:
            return ["attention_norm"]
        if layer.parallel == "shared":
            return ["attention_norm"]
        after_experts = [] if layer.mlp_output_norm == "none" else ["mlp_output_norm"]
        return {
            "pre": ["attention_norm", "mlp_norm", *after_experts],
            "post": ["attention_norm", "mlp_norm"],
            "sandwich": ["attention_norm", "attention_output_norm", "mlp_norm", "mlp_output_norm"],
            "output": ["attention_output_norm", "mlp_output_norm"],
        }[layer.norms]

    @cached_property
    def layer_fields(self) -> dict[str, str]:
        """Role -> field of a decoder layer."""
        roles = (*self.blocks, *self.mixers, *self.layer_norm_roles)
        return {role: self.field("decoder_layer", role, {}) for role in roles}

    @cached_property
    def layer_body(self) -> list[str]:
        """The statements of a decoder layer's forward."""
        factor = self.architecture.layer.residual_scale
        if isinstance(factor, str) and " * " in factor:
            lines = [f"scale = {self.value(factor)}", *self._layer_sums(" * scale")]
        else:
            lines = self._layer_sums("" if factor is None else self.times(factor))
        return ["x, chosen = stream", *lines[:-1], f"{lines[-1]}, chosen"] if self.hands_choice_on else lines

    def _layer_sums(self, scale: str) -> list[str]:
        """The same, with the end of a product that multiplies what a block adds."""
        layer, fields = self.architecture.layer, self.layer_fields
        lines: list[str] = []

        def norm(role: str, x: str) -> str:
            """`x` after a norm, or as it is where no layer has that one; what some layers have takes a statement."""
            call = f"self.{fields[role]}({x})" if role in fields else x
            if self.layers_with(role)[0] is None:
                return call
            if role == "mlp_output_norm":
                lines.extend((f"mixed = {x}", f"if self.{fields[role]} is not None:"))
                lines.append(f"    mixed = self.{fields[role]}(mixed)")
                return "mixed"
            name = f"to_{role.removesuffix('_norm')}"
            lines.append(f"{name} = {x} if self.{fields[role]} is None else {call}")
            return name

        def attention(x: str) -> str:
            call, bias = f"self.{fields['attention']}({x}{self.attention_arguments})", self.added_bias
            if self.hands_choice_on:
                lines.append(f"attended, chosen = self.{fields['attention']}({x}, chosen{self.attention_arguments})")
                call = "attended"
            if "mixer" in fields:
                own, other = f"self.{fields['attention']}", f"self.{fields['mixer']}"
                given, arguments = (x, "") if x.isidentifier() else ("h", f"h = {x}")
                lines.extend([arguments] if arguments else [])
                lines.extend((f"if {own} is not None:", f"    attended = {own}({given}{self.attention_arguments})"))
                lines.extend((f"if {other} is not None:", f"    attended = {other}({given}{self.attention_arguments})"))
                return "attended"
            if bias is None:
                return call
            if self.layers_with("added_bias")[0] is None:
                lines.append(f"attended = {call} + self.{bias}")
            else:
                lines.extend((f"attended = {call}", f"if self.{bias} is not None:"))
                lines.append(f"    attended = attended + self.{bias}")
            return "attended"

        def mlp(x: str) -> str:
            shared = self.shared_beside
            if shared is None:
                return f"self.{fields['mlp']}({x})"
            given, named = (x, []) if x.isidentifier() else ("to_mlp", [f"to_mlp = {x}"])
            if not self.architecture.moe.shared_optional:
                lines.extend((*named, f"mixed = self.{fields['mlp']}({given}) + self.{shared}({given})"))
                return "mixed"
            lines.extend((*named, f"mixed = self.{fields['mlp']}({given})", f"if self.{shared} is not None:"))
            lines.append(f"    mixed = mixed + self.{shared}({given})")
            return "mixed"

        if layer.parallel == "shared":
            lines.append(f"h = {norm('attention_norm', 'x')}")
            attended, mixed = attention("h"), mlp("h")
            return [*lines, f"return x + {attended}{scale} + {mixed}{scale}"]
        if layer.parallel == "separate":
            attended, mixed = attention(norm("attention_norm", "x")), mlp(norm("mlp_norm", "x"))
            return [*lines, f"return x + {attended}{scale} + {mixed}{scale}"]
        if layer.norms == "post":
            first = norm("attention_norm", f"x + {attention('x')}{scale}")
            lines.append(f"h = {first}")
            second = norm("mlp_norm", f"h + {mlp('h')}{scale}")
            return [*lines, f"return {second}"]
        attended = norm("attention_output_norm", attention(norm("attention_norm", "x")))
        averaged = layer.sums == "averaged"
        if not layer.mlp:
            return [*lines, f"return x + {attended}{scale}"]
        lines.append(f"h = averaged(x, {attended}, terms)" if averaged else f"h = x + {attended}{scale}")
        mixed = norm("mlp_output_norm", mlp(norm("mlp_norm", "h")))
        return [*lines, f"return averaged(h, {mixed}, terms + 1)" if averaged else f"return h + {mixed}{scale}"]

    @cached_property
    def layer_summary(self) -> str:
        layer = self.architecture.layer
        if layer.parallel == "shared":
            return "One block: attention and MLP side by side, after one norm"
        if layer.parallel == "separate":
            return "One block: attention and MLP side by side, each after its norm"
        if not layer.mlp:
            return "One block: pre-norm attention, and no MLP"
        after_experts = "" if layer.mlp_output_norm == "none" else ", and a norm after experts"
        mlp = "MLP" if self.shared_beside is None else "experts, and an MLP beside them"
        return {
            "pre": f"One block: pre-norm attention, then pre-norm {mlp}{after_experts}",
            "post": "One block: attention, then MLP, with a norm after each sum",
            "sandwich": "One block: attention, then MLP, with a norm before and after each",
            "output": "One block: attention, then MLP, with a norm on what each puts out",
        }[layer.norms]

    @cached_property
    def embedding_fields(self) -> dict[str, str]:
        """Role -> name in the checkpoint of what makes up the embeddings."""
        roles = {"token": True, "position": self.learned_positions, "norm": self.architecture.embeddings.norm}
        return {role: self.weight("embeddings", role) or "" for role, present in roles.items() if present}

    @cached_property
    def learned_positions(self) -> bool:
        return self.architecture.positions.kind == "learned"

    @cached_property
    def positions_in_embeddings(self) -> bool:
        """Whether positions are added to the token embeddings."""
        return self.architecture.positions.kind in ("learned", "sinusoidal")

    @cached_property
    def embeddings_class(self) -> str:
        return "Embedding" if self.plain_embedding else f"{self.Name}Embeddings"

    @cached_property
    def plain_embedding(self) -> bool:
        """Whether the embedding is a look-up and nothing else, so that it needs no class of its own."""
        if self._own_embeddings or "embeddings" in self.architecture.stubs:
            return False
        return (
            len(self.embedding_fields) == 1
            and self.architecture.embeddings.changed(extra_rows=0) == Embeddings()
            and not self.positions_in_embeddings
        )

    @cached_property
    def embeddings_prefix(self) -> str | None:
        """The common prefix of the embeddings' names in the checkpoint."""
        if self.plain_embedding:
            return self.embedding_fields["token"]
        return _common_prefix(list(self.embedding_fields.values()))

    @cached_property
    def embeddings_fields(self) -> dict[str, str]:
        """Role -> field of the class that holds the embeddings."""
        below = {role: _below(path, self.embeddings_prefix) for role, path in self.embedding_fields.items()}
        return {role: path if usable(path) else role for role, path in below.items()}

    @cached_property
    def embeddings_field_map(self) -> dict[str, str]:
        """Field -> name below the prefix, where they differ."""
        below = {role: _below(path, self.embeddings_prefix) for role, path in self.embedding_fields.items()}
        return {ours: below[role] for role, ours in self.embeddings_fields.items() if ours != below[role]}

    @cached_property
    def embeddings_need_config(self) -> bool:
        return isinstance(self.architecture.embeddings.scale, str) or self.architecture.positions.kind == "sinusoidal"

    @cached_property
    def tokens_axis(self) -> str:
        """The axis of the token embedding, over `Vocab`: another one where it has more rows than the head."""
        extra = self.architecture.embeddings.extra_rows
        return f'Axis("token", Vocab.size + {extra})' if extra else "Vocab"

    @cached_property
    def position_table(self) -> str:
        """The axis of a learned table of positions, over `config`."""
        offset = self.architecture.positions.offset
        return f"config.Pos.resize(config.max_seq_len + {offset})" if offset else "config.Pos"

    @cached_property
    def transformer_key_map(self) -> tuple[str | None, dict[str, str]]:
        """The common prefix of the stack's names, and field -> name below it where they differ."""
        paths = {"layers": self.weight("transformer", "layers") or "layers"}
        if self.architecture.head.final_norm:
            paths["norm"] = self.weight("transformer", "norm") or "norm"
        prefix = _common_prefix(list(paths.values()))
        below = {name: _below(path, prefix) for name, path in paths.items()}
        return prefix, {name: path for name, path in below.items() if name != path}

    @cached_property
    def model_key_map(self) -> dict[str, str | None]:
        embeddings, transformer = self.embeddings_prefix, self.transformer_key_map[0]
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


def usable(name: str) -> bool:
    """Whether a name of the checkpoint can be a field of ours."""
    return name.isidentifier() and not keyword.iskeyword(name) and name not in _RESERVED and not name.startswith("_")


def _common_prefix(paths: list[str]) -> str | None:
    """The dotted path that all of `paths` lie below, or None."""
    shared: list[str] = []
    for steps in zip(*(path.split(".")[:-1] for path in paths), strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return ".".join(shared) or None


def _below(path: str, prefix: str | None) -> str:
    return path if prefix is None else path.removeprefix(f"{prefix}.")
