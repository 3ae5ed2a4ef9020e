"""Reads a whole layer, and what comes before and after the stack, from an architecture."""

from typing import Literal

from levgen.architecture.schema import Architecture
from levgen.scaffold.dataflow.attention import Attention
from levgen.scaffold.dataflow.channel_block import ChannelBlock
from levgen.scaffold.dataflow.steps import Branch, Dataflow, Residual, Step
from levgen.scaffold.dataflow.words import UNKNOWN, Words


def dataflow_of(architecture: Architecture) -> Dataflow:
    """The dataflow that the answers of `architecture` describe."""
    return _Reader(Words(architecture)).dataflow()


class _Reader:
    def __init__(self, words: Words) -> None:
        self._say, self._view = words, words.view
        self._a, self._values = words.architecture, words.values

    def dataflow(self) -> Dataflow:
        count = self._values["num_layers"]
        differs = [
            name
            for name, yes in (
                ("window", self._say.by_layer_window),
                ("rotation", self._say.by_layer_rope),
                (
                    "heads" if self._a.attention.local_kv_multiple > 1 else "sinks",
                    self._a.attention.uneven,
                ),
                ("experts", self._view.kinds.mixed),
                ("what mixes positions", bool(self._view.layer.mixers)),
                (
                    f"what the {self._a.layer.odd} one holds",
                    self._a.layer.odd is not None,
                ),
            )
            if yes
        ]
        unlike = f", which differ in {' and '.join(differs)}" if differs else ", all alike"
        stack = self._view.weight("transformer", "layers") or "layers"
        return Dataflow(self._before(), f"{count} * {stack}{unlike}", self._residuals(), self._after())

    # Around the layers --------------------------------------------------------------------------------------------

    def _before(self) -> tuple[Step, ...]:
        answers, positions = self._a.embeddings, self._a.positions
        fields = self._view.embeddings.in_checkpoint
        extra = f", and {answers.extra_rows} more than the vocabulary has" if answers.extra_rows else ""
        steps = [Step(fields["token"], f"one vector a token{extra}")]
        if answers.scale is not None:
            steps.append(Step(self._say.times(answers.scale)))
        if positions.kind == "learned":
            shift = f", from row {positions.offset} on" if positions.offset else ""
            steps.append(Step(f"+ {fields['position']}", f"one learned vector a position{shift}"))
        if positions.kind == "sinusoidal":
            steps.append(Step("+ sinusoids", f"of the position, {positions.table}"))
        if answers.norm:
            steps.append(Step(fields["norm"], self._say.norm))
        return tuple(steps)

    def _after(self) -> tuple[Step, ...]:
        head, view = self._a.head, self._view
        steps = [Step(view.weight("transformer", "norm") or "norm", self._say.norm)] if head.final_norm else []
        transform = self._a.head_transform
        if transform.kind != "none":
            configured = transform.activation == "configured"
            steps.append(Step(self._say.weight("head_transform", "dense"), self._say.bias(transform.bias).lstrip(", ")))
            steps.append(Step(self._say.said("head_activation") if configured else transform.activation))
            steps += [Step(self._say.weight("head_transform", "norm"), self._say.norm)] if transform.norm else []
        tied = ["tied to the embeddings"] if self._values.get("tie_word_embeddings") else []
        bias = [said] if (said := self._say.bias(head.bias).lstrip(", ")) else []
        steps.append(Step(view.weight("lm_head", "head") or "lm_head", ", ".join([*tied, *bias])))
        if head.scale is not None:
            steps.append(Step(self._say.times(head.scale)))
        if head.softcap is not None:
            steps.append(self._say.softcap(head.softcap))
        return tuple(steps)

    # The layer ----------------------------------------------------------------------------------------------------

    def _residuals(self) -> tuple[Residual, ...]:
        layer = self._a.layer
        if not self._view.layer.blocks:
            step = Step(self._view.weight("transformer", "layers") or "layers", UNKNOWN)
            return (Residual((), (Branch("layer", (step,), (), None, ()),), "x ← layer", ()),)
        own = {
            norm.role: (
                Step(
                    self._say.weight("decoder_layer", norm.role),
                    ", ".join(s for s in (self._say.norm, norm.remark) if s),
                ),
                *self._norm_gate(norm.role),
            )
            for norm in self._view.layer.norms
        }
        post = layer.norms == "post"
        scale = () if layer.residual_scale is None else (Step(self._say.times(layer.residual_scale)),)

        def branch(part: Literal["attention", "mlp"], *, normed: bool = True) -> Branch:
            before = own.get(f"{part}_norm", ()) if normed and not post else ()
            added = (
                Step(
                    f"+ {self._say.weight('decoder_layer', 'added_bias')}",
                    self._view.kinds.having("added_bias")[1],
                ),
            )
            bias = added if part == "attention" and layer.added_bias != "none" else ()
            if part == "attention" and self._view.layer.mixers:
                place = f"{UNKNOWN}; in the place of attention in layers that mixer_types calls {layer.mixer}"
                bias = (Step(self._say.weight("decoder_layer", "mixer"), place),)
            output = (*bias, *own.get(f"{part}_output_norm", ()), *scale)
            if part in self._a.unknown:
                unknown = Step(self._say.weight("decoder_layer", part), UNKNOWN)
                return Branch(part, (*before, unknown), (), None, output)
            if part == "attention":
                return Attention(self._say).branch(before, output)
            block = ChannelBlock(self._say)
            return block.mlp(before, output) if self._a.moe.layers == "none" else block.moe(before, output)

        if layer.parallel == "no":
            total = "x ← x + {}" if layer.sums == "plain" else "x ← (√n x + {}) / √(n + 1), of n terms before it"
            return tuple(
                Residual((), (branch(part),), total.format(part), own[f"{part}_norm"] if post else ())
                for part in self._view.layer.blocks
            )
        shared = own["attention_norm"] if layer.parallel == "shared" else ()
        branches = tuple(branch(part, normed=not shared) for part in self._view.layer.blocks)
        return (Residual(shared, branches, "x ← x + attention + mlp", ()),)

    def _norm_gate(self, role: str) -> tuple[Step, ...]:
        """The gate on a norm of a layer; nothing where it has none."""
        where = self._view.layer.norm_gate(role)
        if where == "none":
            return ()
        down, up = (self._say.weight("gated_norm", role) for role in ("down", "up"))
        made = f"{up}({self._a.norm_gate.activation}({down})) of that, {self._values['norm_gate_rank']} wide"
        return (Step("* sigmoid", made + (", in layers with experts" if where == "sparse" else "")),)
