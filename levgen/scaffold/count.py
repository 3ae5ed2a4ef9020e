"""How many parameters a model has, module by module, from its axes alone: no array is made and nothing is imported."""

import math
import re
from dataclasses import dataclass, replace
from typing import Any

import jinja2

from levgen.architecture.schema import Architecture
from levgen.scaffold.names import model_name
from levgen.scaffold.views.fields import NormField, Projection
from levgen.scaffold.views.port import PortView
from levgen.scaffold.views.unknown import UnknownView

_expressions = jinja2.Environment(undefined=jinja2.StrictUndefined)


@dataclass(frozen=True)
class Count:
    """The parameters of one module.

    `module`: its name in the checkpoint, without the number of its layer. `axes`: what its weight is over. `each`:
    parameters of one, beside `per_token` for each entry of the vocabulary. `times`: how many of it there are, and
    `active`: how many of these one token passes through, where that is not all.
    """

    module: str
    axes: str
    each: int
    per_token: int = 0
    times: int = 1
    active: int | None = None

    def total(self, vocab_size: int) -> int:
        return (self.each + self.per_token * vocab_size) * self.times

    def passed(self, vocab_size: int) -> int:
        """Those that one token passes through."""
        return (self.each + self.per_token * vocab_size) * (self.times if self.active is None else self.active)


def count_modules(architecture: Architecture) -> list[Count]:
    """The modules of `architecture` at its default sizes, from the embeddings to the head."""
    return _Counter(architecture).counts()


def cached_numbers(architecture: Architecture) -> int | None:
    """How many numbers a cache holds of one token, over all layers; None where nobody knows what attention keeps."""
    if {"attention", "mixer", "decoder_layer"} & {*architecture.stubs, *architecture.unknown}:
        return None
    return _Counter(architecture).cached()


class _Counter:
    def __init__(self, architecture: Architecture) -> None:
        self._a = architecture
        self._view = PortView(architecture, model_name("counted"))
        self._values: dict[str, Any] = {name: p.default for name, p in architecture.hyperparameters.items()}
        self._sizes = self._axis_sizes()

    def counts(self) -> list[Count]:
        return [*self._embeddings(), *self._layers(), *self._head()]

    def cached(self) -> int:
        """Keys and values of each head, or what latent attention makes them from; the key of an indexer, too."""
        if self._a.attention.heads == "latent":
            of_layer = self._sizes["KvLatent"] + self._sizes["RopeHeadSize"]
        else:
            own = self._view.attention
            of_layer = sum(math.prod(self._sizes[axis] for axis in axes) for axes in (own.key_axes, own.value_axes))
        layers: int = self._values["num_layers"]
        of_indexers = self._sizes.get("IndexHeadSize", 0) * self._indexers(layers)
        # Layers with a window may have more heads.
        many = layers + (self._a.attention.local_kv_multiple - 1) * self._windowed_layers()
        return of_layer * many + of_indexers

    def _indexers(self, layers: int) -> int:
        """How many layers have an indexer."""
        listed = self._a.attention.indexer == "listed"
        return self._values["indexer_types"].count("full") if listed else layers

    def _windowed_layers(self) -> int:
        """How many layers have a window, where that is told by a list."""
        return sum(kind == "sliding_attention" for kind in self._values.get("layer_types", ()))

    def _axis_sizes(self) -> dict[str, int]:
        """Axis -> size, where it has one. One axis may be sized by another, which is stated anywhere in the config."""
        known: dict[str, dict[str, int]] = {}
        absent = {name for name, value in self._values.items() if value is None}
        pending = [axis for axis in self._view.axes if not axis.alias and axis.size not in absent]
        while pending:
            for axis in pending:
                needed = set(re.findall(r"(\w+)\.size", axis.size))
                if needed <= set(known):
                    context: dict[str, Any] = {**self._values, **known}
                    size: Any = _expressions.compile_expression(axis.size)(**context)
                    known[axis.attribute] = {"size": int(size)}
            pending = [axis for axis in pending if axis.attribute not in known]
        known |= {axis.attribute: known[axis.alias] for axis in self._view.axes if axis.alias in known}
        return {name: held["size"] for name, held in known.items()}

    def _is_there(self, axes: str) -> bool:
        """Whether all of the axes have a size: a module that may be absent is over one that has none then."""
        return all(name in self._sizes for name in re.findall(r"\w+", axes))

    def _product(self, axes: str) -> int:
        return math.prod(self._sizes[name] for name in re.findall(r"\w+", axes))

    def _is_on(self, source: str) -> bool:
        """A truth value as the templates write it: a constant, or a field of `config`."""
        return bool(self._values[source.removeprefix("config.")]) if source.startswith("config.") else source == "True"

    def _projection(self, name: str, projection: Projection, times: int) -> Count:
        inputs, outputs = projection.shape.split(" -> ")
        bias = self._product(outputs) if self._is_on(projection.use_bias) else 0
        return Count(name, projection.shape, self._product(inputs) * self._product(outputs) + bias, times=times)

    def _norm(self, name: str, axes: str, times: int = 1) -> list[Count]:
        vectors = self._a.norm.weight + (self._a.norm.kind == "layer" and self._a.norm.bias)
        return [Count(name, axes, vectors * self._product(axes), times=times)] if vectors else []

    def _embeddings(self) -> list[Count]:
        width = self._sizes["Embed"]
        fields = self._view.embeddings.in_checkpoint
        extra = self._a.embeddings.extra_rows
        counts = [Count(fields["token"], f"Vocab + {extra}, Embed" if extra else "Vocab, Embed", extra * width, width)]
        if "position" in fields:
            rows = self._values["max_seq_len"] + self._a.positions.offset
            counts.append(Count(fields["position"], f"{rows}, Embed", rows * width))
        return counts + (self._norm(fields["norm"], "Embed") if "norm" in fields else [])

    def _layers(self) -> list[Count]:
        view, layers = self._view, self._values["num_layers"]
        if "decoder_layer" in view.unknown:
            return self._unknown(view.unknown["decoder_layer"], layers)
        counts: list[Count] = []
        for norm in view.layer.norms:
            times = self._having(norm.role)
            if norm.role == "mlp_output_norm" and self._a.layer.mlp_output_norm == "sparse":
                times = self._sparse_layers(layers)
            counts += self._layer_norm(norm, times)
        if view.layer.added_bias is not None:
            name, times = self._below(None, "decoder_layer", "added_bias"), self._having("added_bias")
            counts.append(Count(name, "Embed", self._sizes["Embed"], times=times))
        sparse = self._sparse_layers(layers)
        mixers = (
            len(self._values["mixer_types"]) - self._values["mixer_types"].count("full_attention")
            if view.layer.mixers
            else 0
        )
        if mixers:
            counts += self._unknown(view.unknown["mixer"], mixers)
        for part, times in (("attention", layers - mixers), ("mlp", layers - sparse if self._a.layer.mlp else 0)):
            if times and part in view.unknown:
                counts += self._unknown(view.unknown[part], times)
            elif times:
                counts += self._known(part, times)
        if "indexer" in view.classes:
            counts += self._indexer(self._indexers(layers))
        return [*counts, *self._mixture(sparse)] if sparse else counts

    def _layer_norm(self, norm: NormField, times: int) -> list[Count]:
        """A norm that so many layers have, with a gate or without."""
        name, where, gated = self._below(None, "decoder_layer", norm.role), self._view.layer.norm_gate(norm.role), times
        if where == "none":
            return self._norm(name, norm.axis, times)
        if where == "sparse":
            gated = self._sparse_layers(times)
        own = self._view.gated_norm
        counts = self._norm(name, norm.axis, times - gated) if gated < times else []
        counts += self._norm(f"{name}.{self._view.weight('gated_norm', 'norm')}", norm.axis, gated)
        maps = ((f"{name}.{self._view.weight('gated_norm', p.role)}", p) for p in own.projections)
        return [*counts, *(self._projection(path, projection, gated) for path, projection in maps)]

    def _having(self, answer: str) -> int:
        """How many layers have what an answer about them says that some have."""
        layers: int = self._values["num_layers"]
        which = self._a.layer.in_some.get(answer, "every")
        return layers if which == "every" else layers - 1 if which.startswith("but_") else 1

    def _known(self, part: str, times: int) -> list[Count]:
        """The modules of attention or of an MLP, of so many layers."""
        view = self._view
        own = view.attention if part == "attention" else view.mlp
        counts = [
            self._projection(self._below(part, part, projection.role), alike, count)
            for projection in own.projections
            if projection.when is None or self._is_there(projection.shape)
            for alike, count in self._with_local_heads(projection, times)
        ]
        if part == "attention" and self._a.attention.sinks:
            heads = self._values["num_heads"]
            having = times if self._a.attention.sinks_in == "every" else self._windowed_layers()
            counts.append(Count(self._below(part, part, "sinks"), "Heads", heads, times=having))
        if part == "attention" and self._a.attention.gate_bias:
            heads = self._values["num_heads"]
            counts.append(Count(self._below(part, part, "gate_bias"), "Heads", heads, times=times))
        counts += [count for norm in own.norms for count in self._inner_norm(part, norm, times)]
        if part == "mlp" and view.learned_activation is not None:
            counts.append(Count(self._below(part, part, "act"), "-", view.learned_activation.numbers, times=times))
        if part == "mlp" and "activation" in view.unknown:
            counts += self._unknown(view.unknown["activation"], times)
        return counts

    def _with_local_heads(self, projection: Projection, times: int) -> list[tuple[Projection, int]]:
        """`projection`, and as it is in layers with a window that have more key heads; each with how many have it."""
        if self._a.attention.local_kv_multiple == 1 or "KVHeads" not in projection.shape:
            return [(projection, times)]
        local = replace(projection, shape=re.sub(r"\b(KVHeads|QHeadsPerGroup)\b", r"Local\1", projection.shape))
        windowed = self._windowed_layers()
        return [(one, count) for one, count in ((projection, times - windowed), (local, windowed)) if count]

    def _indexer(self, layers: int) -> list[Count]:
        view = self._view
        above = self._below("attention", "attention", "indexer")
        counts = [
            self._projection(f"{above}.{view.weight('indexer', p.role)}", p, layers) for p in view.indexer.projections
        ]
        for norm in view.indexer.norms:
            name = f"{above}.{view.weight('indexer', norm.role)}"
            counts.append(Count(name, norm.axis, 2 * self._product(norm.axis), times=layers))
        return counts

    def _sparse_layers(self, layers: int) -> int:
        """How many layers have experts."""
        which = self._a.moe.layers
        if which == "listed":
            return sum(kind == "sparse" for kind in self._values["mlp_layer_types"])
        if which == "numbered":
            return sum(layer in self._values["sparse_layers"] for layer in range(layers))
        if which == "stepped":
            step, without = self._values["sparse_step"], self._values["dense_layers"]
            return sum((layer + 1) % step == 0 and layer not in without for layer in range(layers))
        dense: int = {"none": layers, "every": 0, "after": self._values.get("num_dense_layers", 0)}[which]
        return layers - min(layers, dense)

    def _mixture(self, layers: int) -> list[Count]:
        answers, sizes, view = self._a.moe, self._sizes, self._view
        embed, experts, width = (sizes[axis] for axis in ("Embed", "Experts", "ExpertMlp"))
        router = self._below("mlp", "moe", "router")
        counts = [Count(router, "Embed -> Experts", (embed + answers.router_bias) * experts, times=layers)]
        if answers.correction:
            counts.append(Count(self._below("mlp", "moe", "correction_bias"), "Experts", experts, times=layers))
        each, active = layers * experts, layers * sizes["TopExperts"]
        for role, shape, out in (
            ("gate", "Embed -> ExpertMlp", width),
            ("up", "Embed -> ExpertMlp", width),
            ("down", "ExpertMlp -> Embed", embed),
        ):
            name = f"{self._below('mlp', 'moe', 'experts')}.*.{view.weight('moe', role)}"
            counts.append(Count(name, shape, embed * width + answers.bias * out, times=each, active=active))
        if answers.shared != "none" and self._sizes["SharedMlp"]:
            beside = view.layer.shared_beside is not None
            above = self._below(None, "decoder_layer", "shared") if beside else self._below("mlp", "moe", "shared")
            for projection in view.mlp.projections:
                name = ".".join(step for step in (above, view.weight("mlp", projection.role)) if step)
                # The class of the dense layers is that of the shared expert too: its axis is another there.
                shape = (
                    projection.shape
                    if view.mlp_takes_axis is False
                    else re.sub(r"\bMlp\b", "SharedMlp", projection.shape)
                )
                counts.append(self._projection(name, replace(projection, shape=shape), layers))
        if answers.shared == "gated":
            counts.append(Count(self._below("mlp", "moe", "shared_gate"), "Embed -> ()", embed, times=layers))
        return counts

    def _unknown(self, own: UnknownView, layers: int) -> list[Count]:
        """What a module that is unknown holds, tensor by tensor."""
        path = own.path.format("*")
        return [Count(f"{path}.{name}", axes or "-", self._product(axes), times=layers) for name, axes in own.tensors]

    def _inner_norm(self, part: str, norm: NormField, layers: int) -> list[Count]:
        bare = part == "attention" and norm.role in ("q_norm", "k_norm") and not self._a.attention.qk_norm_weight
        switched_off = norm.when is not None and norm.when.startswith("config.") and not self._is_on(norm.when)
        if bare or switched_off or (norm.when is not None and not self._is_there(norm.axis)):
            return []
        return self._norm(self._below(part, part, norm.role), norm.axis, layers)

    def _below(self, block: str | None, part: str, role: str) -> str:
        """The checkpoint's name of a module in a layer, `*` in the place of the layer's number."""
        stack = self._view.weight("transformer", "layers")
        above = None if block is None else self._view.weight("decoder_layer", block)
        return ".".join(step for step in (stack, "*", above, self._view.weight(part, role)) if step)

    def _head(self) -> list[Count]:
        counts = []
        if self._a.head.final_norm:
            counts += self._norm(self._view.weight("transformer", "norm") or "norm", "Embed")
        if self._a.head_transform.kind != "none":
            counts += self._head_transform()
        tied = bool(self._values.get("tie_word_embeddings"))
        width = (0 if tied else self._sizes["Embed"]) + self._is_on(self._view.value(self._a.head.bias, "config"))
        if width:
            axes = "Vocab" if tied else "Embed -> Vocab"
            counts.append(Count(self._view.weight("lm_head", "head") or "lm_head", axes, 0, per_token=width))
        return counts

    def _head_transform(self) -> list[Count]:
        own, named = self._view.head_transform, self._view.weight
        counts = [self._projection(named("head_transform", p.role) or p.role, p, 1) for p in own.projections]
        for norm in own.norms:
            counts += self._norm(named("head_transform", norm.role) or norm.role, norm.axis)
        return counts
