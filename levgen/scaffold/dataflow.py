"""What a layer does, as steps in order: what the diagrams of `levgen inspect` are drawn from."""

from dataclasses import dataclass
from typing import Any, Literal

from levgen.architecture.answers import Factor, Switch
from levgen.architecture.schema import Architecture
from levgen.scaffold.names import model_name
from levgen.scaffold.view import PortView

_UNKNOWN = "unknown: no experiment explains what it computes"


@dataclass(frozen=True)
class Step:
    """One operation: the module of the checkpoint that does it, or a sign for what none does; and what it does."""

    name: str
    does: str = ""


@dataclass(frozen=True)
class Lane:
    """What happens to one of several tensors that are computed side by side: queries, keys, values, a gate."""

    name: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Branch:
    """A block beside the stream: steps, then lanes that `join`, then steps; its output is called `name`."""

    name: str
    before: tuple[Step, ...]
    lanes: tuple[Lane, ...]
    join: Step | None
    after: tuple[Step, ...]


@dataclass(frozen=True)
class Residual:
    """Branches beside the stream, whose outputs are added to it. `shared` comes before all, `after` follows the sum."""

    shared: tuple[Step, ...]
    branches: tuple[Branch, ...]
    total: str
    after: tuple[Step, ...]


@dataclass(frozen=True)
class Dataflow:
    """A layer, between what comes `before` and `after` the stack."""

    before: tuple[Step, ...]
    layers: str
    residuals: tuple[Residual, ...]
    after: tuple[Step, ...]


def dataflow_of(architecture: Architecture) -> Dataflow:
    """The dataflow that the answers of `architecture` describe."""
    return _Reader(architecture).dataflow()


class _Reader:
    def __init__(self, architecture: Architecture) -> None:
        self._a = architecture
        self._view = PortView(architecture, model_name("drawn"))
        self._values: dict[str, Any] = {name: p.default for name, p in architecture.hyperparameters.items()}

    def dataflow(self) -> Dataflow:
        count = self._values["num_layers"]
        differs = [
            name
            for name, yes in (
                ("window", self._by_layer_window),
                ("rotation", self._by_layer_rope),
                ("heads" if self._a.attention.local_kv_multiple > 1 else "sinks", self._a.attention.uneven),
                ("experts", self._view.kinds.mixed),
                ("what mixes positions", bool(self._view.layer.mixers)),
                (f"what the {self._a.layer.odd} one holds", self._a.layer.odd is not None),
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
            steps.append(Step(self._times(answers.scale)))
        if positions.kind == "learned":
            shift = f", from row {positions.offset} on" if positions.offset else ""
            steps.append(Step(f"+ {fields['position']}", f"one learned vector a position{shift}"))
        if positions.kind == "sinusoidal":
            steps.append(Step("+ sinusoids", f"of the position, {positions.table}"))
        if answers.norm:
            steps.append(Step(fields["norm"], self._norm))
        return tuple(steps)

    def _after(self) -> tuple[Step, ...]:
        head, view = self._a.head, self._view
        steps = [Step(view.weight("transformer", "norm") or "norm", self._norm)] if head.final_norm else []
        transform = self._a.head_transform
        if transform.kind != "none":
            configured = transform.activation == "configured"
            steps.append(Step(self._weight("head_transform", "dense"), self._bias(transform.bias).lstrip(", ")))
            steps.append(Step(self._said("head_activation") if configured else transform.activation))
            steps += [Step(self._weight("head_transform", "norm"), self._norm)] if transform.norm else []
        tied = ["tied to the embeddings"] if self._values.get("tie_word_embeddings") else []
        bias = [said] if (said := self._bias(head.bias).lstrip(", ")) else []
        steps.append(Step(view.weight("lm_head", "head") or "lm_head", ", ".join([*tied, *bias])))
        if head.scale is not None:
            steps.append(Step(self._times(head.scale)))
        if head.softcap is not None:
            steps.append(self._softcap(head.softcap))
        return tuple(steps)

    # The layer ----------------------------------------------------------------------------------------------------

    def _residuals(self) -> tuple[Residual, ...]:
        layer = self._a.layer
        if not self._view.layer.blocks:
            step = Step(self._view.weight("transformer", "layers") or "layers", _UNKNOWN)
            return (Residual((), (Branch("layer", (step,), (), None, ()),), "x ← layer", ()),)
        own = {
            norm.role: (
                Step(self._weight("decoder_layer", norm.role), ", ".join(s for s in (self._norm, norm.remark) if s)),
                *self._norm_gate(norm.role),
            )
            for norm in self._view.layer.norms
        }
        post = layer.norms == "post"
        scale = () if layer.residual_scale is None else (Step(self._times(layer.residual_scale)),)

        def branch(part: Literal["attention", "mlp"], *, normed: bool = True) -> Branch:
            before = own.get(f"{part}_norm", ()) if normed and not post else ()
            added = (
                Step(f"+ {self._weight('decoder_layer', 'added_bias')}", self._view.kinds.having("added_bias")[1]),
            )
            bias = added if part == "attention" and layer.added_bias != "none" else ()
            if part == "attention" and self._view.layer.mixers:
                place = f"{_UNKNOWN}; in the place of attention in layers that mixer_types calls {layer.mixer}"
                bias = (Step(self._weight("decoder_layer", "mixer"), place),)
            output = (*bias, *own.get(f"{part}_output_norm", ()), *scale)
            if part in self._a.unknown:
                unknown = Step(self._weight("decoder_layer", part), _UNKNOWN)
                return Branch(part, (*before, unknown), (), None, output)
            if part == "attention":
                return self._attention(before, output)
            return self._mlp(before, output) if self._a.moe.layers == "none" else self._moe(before, output)

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
        down, up = (self._weight("gated_norm", role) for role in ("down", "up"))
        made = f"{up}({self._a.norm_gate.activation}({down})) of that, {self._values['norm_gate_rank']} wide"
        return (Step("* sigmoid", made + (", in layers with experts" if where == "sparse" else "")),)

    def _attention(self, before: tuple[Step, ...], output: tuple[Step, ...]) -> Branch:
        answers, positions = self._a.attention, self._a.positions
        entry: list[Step] = []
        fused = answers.projections != "separate"
        if fused:
            order = {
                "concat": "queries, then keys, then values",
                "interleaved": "head by head: queries, keys, values",
                "blocks": "four blocks of queries, values, keys",
            }[answers.projections]
            entry.append(Step(self._weight("attention", "qkv"), f"{order}{self._bias(answers.bias)}"))
        lanes = self._latent_lanes if answers.heads == "latent" else []
        for role in ("q", "k", "v") if not lanes else ():
            steps = [] if fused else [Step(self._weight("attention", role), self._bias(answers.bias).lstrip(", "))]
            if answers.clip is not None:
                steps.append(Step(f"clip to ±{self._said(answers.clip)}"))
            turned = [Step("rotate", self._rotation)] if positions.kind == "rotary" and role != "v" else []
            normed = []
            if answers.qk_norm != "none" and role != "v":
                normed = [Step(self._weight("attention", f"{role}_norm"), self._norm_of_queries_and_keys)]
            steps += [*turned, *normed] if answers.norm_after_rotation else [*normed, *turned]
            if role == "q" and positions.temperature != "none":
                steps.append(Step("* temperature", self._temperature))
            if role == "v" and answers.value_scale is not None:
                steps.append(Step(self._times(answers.value_scale)))
            lanes.append(Lane(role, tuple(steps)))
        inner = [Step(self._weight("attention", "inner_norm"), self._norm)] if answers.inner_norm else []
        if answers.gate_in == "queries":
            inner.append(Step(f"* {answers.gate}", f"beside the queries in {self._weight('attention', 'q_b')}"))
        elif answers.gate != "none":
            bias = f", with {self._weight('attention', 'gate_bias')} added for each head" if answers.gate_bias else ""
            made = f"{self._weight('attention', 'gate')}, for each {answers.gate_per}{bias}"
            inner.append(Step(f"* {answers.gate}", made))
        out = Step(self._weight("attention", "o"), self._bias(answers.output_bias).lstrip(", "))
        return Branch(
            "attention", (*before, *entry), tuple(lanes), Step("attend", self._scores), (*inner, out, *output)
        )

    @property
    def _norm_of_queries_and_keys(self) -> str:
        answers = self._a.attention
        over = "each head" if answers.qk_norm == "head" else "all heads at once"
        kind = self._norm if answers.qk_norm_weight else self._bare_norm
        where = " in layers that rotate" if answers.qk_norm_layers == "rotating" else ""
        when = f", if {answers.qk_norm_switch}" if isinstance(answers.qk_norm_switch, str) else ""
        return f"{kind} over {over}{where}{when}"

    @property
    def _temperature(self) -> str:
        """What queries are multiplied by beside a scale."""
        positions = self._a.positions
        scale, span = self._said("temperature_scale"), self._said("temperature_span")
        where = " in layers that don't rotate" if positions.temperature == "unturned" else ""
        when = f", if {positions.temperature_switch}" if isinstance(positions.temperature_switch, str) else ""
        return f"1 + {scale} * log(1 + (position + 1) // {span}){where}{when}"

    @property
    def _latent_lanes(self) -> list[Lane]:
        """Queries, and keys and values, each by way of a vector of low rank."""
        answers, values = self._a.attention, self._values
        rank, turning = values["q_lora_rank"], values["qk_rope_head_dim"]
        joined = f"of that and of {self._weight('attention', 'q_a')}'s" if answers.query_latent == "joined" else ""
        down, norm = self._bias(answers.bias), Step(self._weight("attention", "kv_a_norm"), self._norm)
        steps = {
            "q_a": Step(self._weight("attention", "q_a"), f"to {rank} numbers{down}"),
            "q_a_norm": Step(self._weight("attention", "q_a_norm"), self._norm),
            "q_b": Step(self._weight("attention", "q_b"), joined),
        }
        queries = list(steps.values()) if rank is not None else [Step(self._weight("attention", "q"))]
        queries.append(Step("rotate", f"the last {turning} of each head, {self._rotation}"))
        latent = f"to {values['kv_lora_rank']} numbers, and {turning} of a key for all heads{down}"
        keys = [
            Step(self._weight("attention", "kv_a"), latent),
            Step("rotate", f"the {turning} of the key"),
            norm,
            Step(self._weight("attention", "kv_b"), "the rest of each head's key, and its value"),
        ]
        return [Lane("q", tuple(queries)), Lane("k, v", tuple(keys))]

    @property
    def _scores(self) -> str:
        answers = self._a.attention
        heads = self._values["num_heads"]
        keys = {"grouped": self._values.get("num_kv_heads"), "single": 1}.get(answers.heads, heads)
        said = [f"{heads} heads" + ("" if keys == heads else f" over {keys} key head{'s' * (keys != 1)}"), "causal"]
        if answers.local_kv_multiple > 1 and keys is not None:
            said[0] += f", {answers.local_kv_multiple * keys} in layers with a window"
        if answers.window != "none":
            where = " in layers that say so" if self._by_layer_window else ""
            said.append(f"{self._seen}{where}")
        said.append(f"scores * {self._said(answers.scale)}")
        if answers.softcap is not None:
            said.append(self._softcap(answers.softcap).name)
        if answers.indexer != "none":
            chosen, heads = self._values["index_topk"], self._values["index_num_heads"]
            where = " in layers that have it, and there for those after them" if answers.indexer == "listed" else ""
            chooser = self._weight("attention", "indexer")
            said.append(f"of these the {chosen} that {chooser} chooses with {heads} heads{where}")
        if self._a.positions.kind == "alibi":
            said.append("less the distance * a slope of the head (ALiBi)")
        if answers.sinks:
            where = "" if answers.sinks_in == "every" else " in layers with a window"
            said.append(f"a learned logit in the denominator{where} ({self._weight('attention', 'sinks')})")
        return ", ".join(said)

    @property
    def _seen(self) -> str:
        """Which keys a query sees in a layer with a window."""
        if self._a.attention.local == "chunk":
            return f"the keys of a query's own chunk of {self._values['chunk_size']}"
        length = self._values.get("sliding_window")
        return "the last sliding_window keys, if there is one" if length is None else f"the last {length} keys"

    @property
    def _rotation(self) -> str:
        positions = self._a.positions
        said = ["pairs (2i, 2i + 1)" if positions.layout == "interleaved" else "pairs (i, i + half)"]
        rope = self._values.get("rope")
        rope = rope if isinstance(rope, dict) else {}
        if "theta" in rope:
            said.append(f"theta {rope['theta']:g}")
        if rope.get("kind", "default") != "default":
            said.append(f"scaled: {rope['kind']}")
        if "fraction" in rope:
            said.append(f"{rope['fraction']:g} of each head")
        if positions.rotary_dim is not None:
            said.append(f"{self._said(positions.rotary_dim)} dimensions of each head")
        if positions.backwards:
            said.append("backwards")
        if positions.query_scaling:
            said.append("queries grow beyond the original length")
        if positions.growth_length is not None:
            power = f"(1 + (position + 1) / {self._said(positions.growth_length)})"
            power += f" ** {self._said(positions.growth_exponent or 0.0)}"
            said.append(f"where they don't turn, queries grow by {power}")
        said += {
            "every": [],
            "windowed": ["in layers with a window"],
            "windowed_or_dense": ["in layers with a window or without experts"],
            "listed": ["in layers that rope_layers lists"],
            "by_theta": ["in layers whose theta isn't 0"],
        }[positions.layers]
        return ", ".join([*said, *(["layers with a window by a theta of their own"] if positions.local_rope else [])])

    def _mlp(self, before: tuple[Step, ...], output: tuple[Step, ...]) -> Branch:
        answers = self._a.mlp
        configured = answers.activation == "configured" and "activation" not in self._a.unknown
        name = self._said("activation") if configured else answers.activation
        act = Step(name, "" if answers.activation == "configured" else "whatever the config says")
        if self._view.learned_activation is not None:
            act = Step(self._weight("mlp", "act"), f"{name}, with parameters of its own")
        if "activation" in self._a.unknown:
            act = Step(self._weight("mlp", "act"), _UNKNOWN)
        bias = self._bias(answers.bias).lstrip(", ")
        entry: list[Step] = []
        if answers.kind == "plain":
            lanes: tuple[Lane, ...] = ()
            entry, join = [Step(self._weight("mlp", "up"), bias), act], None
        else:
            separate = answers.projections == "separate"
            gate, up = ([Step(self._weight("mlp", role), bias)] if separate else [] for role in ("gate", "up"))
            if not separate:
                entry = [Step(self._weight("mlp", "gate_up"), f"gate, then up{self._bias(answers.bias)}")]
            lanes = (Lane("gate", (*gate, act)), Lane("up", tuple(up)))
            join = Step("gate * up")
        inner = [Step(self._weight("mlp", "inner_norm"), self._norm)] if answers.inner_norm else []
        down = Step(self._weight("mlp", "down"), bias)
        return Branch("mlp", (*before, *entry), lanes, join, (*inner, down, *output))

    def _moe(self, before: tuple[Step, ...], output: tuple[Step, ...]) -> Branch:
        answers = self._a.moe
        count, chosen = self._values["num_experts"], self._values.get("num_experts_per_tok", 2)
        bias = ", with a bias" if answers.router_bias else ""
        router = [Step(self._weight("moe", "router"), f"a score for each of {count} experts{bias}")]
        by_logits = answers.scores == "chosen_softmax" or answers.correction_of == "logits"
        if not by_logits and answers.scores != "sparse_mixer":
            router.append(Step(answers.scores, "over all" if answers.scores == "softmax" else "of each"))
        said = [f"the best {chosen}"]
        said += [f"with {self._weight('moe', 'correction_bias')} added"] if answers.correction else []
        said += [f"within the best {self._values['num_kept_groups']} groups"] if answers.groups else []
        router.append(Step("choose", ", ".join(said)))
        if by_logits:
            softmax = answers.scores == "chosen_softmax"
            router.append(Step("softmax" if softmax else answers.scores, "over those chosen" if softmax else "of each"))
        elif answers.scores == "sparse_mixer":
            router.append(Step("softmax", "over those nearly as good as each choice"))
        if answers.normalized is not False:
            where = f" if {answers.normalized}" if isinstance(answers.normalized, str) else ""
            order = answers.norm_order
            over = "sum" if order is None else f"norm of order {self._values.get(str(order), order)}"
            router.append(Step(f"/ their {over}", where.strip()))
        if answers.scale is not None:
            router.append(Step(self._times(answers.scale)))
        act = self._said("activation") if self._a.mlp.activation == "configured" else self._a.mlp.activation
        gated = f"{act}(gate) * up" if answers.gating == "activation" else "clamped gate * up"
        wide = ", with biases" if answers.bias else ""
        lanes = [
            Lane("weights", tuple(router)),
            Lane("experts", (Step(self._weight("moe", "experts"), f"down({gated}) of each{wide}"),)),
        ]
        if answers.shared != "none":
            gate = [Step("* sigmoid", self._weight("moe", "shared_gate"))] if answers.shared == "gated" else []
            name = self._weight(*(("decoder_layer", "shared") if answers.shared_beside else ("moe", "shared")))
            inside = f"{act}(gate) * up" if self._a.mlp.kind == "gated" else f"{act}(up)"
            does = f"down({inside})"
            if answers.shared_optional:
                does += f", where shared_expert_dim ({self._values.get('shared_expert_dim')}) isn't 0"
            lanes.append(Lane("shared", (Step(name, does), *gate)))
        weighed = "experts(weights * x)" if answers.weighs == "input" else "weights * experts"
        join = f"sum of {weighed}" + (" + shared" if answers.shared != "none" else "")
        return Branch("mlp", before, tuple(lanes), Step(join, self._without_experts(str(act))), output)

    def _without_experts(self, act: str) -> str:
        """What the layers that have no experts do in their place; nothing where all have."""
        if not self._view.kinds.mixed:
            return ""
        inside = f"{act}(gate) * up" if self._a.mlp.kind == "gated" else f"{act}(up)"
        which = {
            "after": f"in the first {self._values.get('num_dense_layers')} layers",
            "listed": "in layers that mlp_layer_types calls dense",
            "numbered": "in layers that sparse_layers doesn't number",
            "stepped": f"in dense_layers, and in all but the last of every {self._values.get('sparse_step')} layers",
        }[self._a.moe.layers]
        return f"{which} down({inside}) instead, {self._values['intermediate_dim']} wide"

    # Words --------------------------------------------------------------------------------------------------------

    @property
    def _by_layer_window(self) -> bool:
        return self._a.attention.window in ("by_layer", "by_run")

    @property
    def _by_layer_rope(self) -> bool:
        return self._a.positions.kind == "rotary" and (
            self._a.positions.layers != "every" or self._a.positions.local_rope
        )

    def _weight(self, part: str, role: str) -> str:
        return self._view.weight(part, role) or role

    @property
    def _bare_norm(self) -> str:
        """A norm without parameters."""
        return f"{'RMS' if self._a.norm.kind == 'rms' else 'layer'} norm, without a gain"

    @property
    def _norm(self) -> str:
        norm = self._a.norm
        said = ["RMS norm" if norm.kind == "rms" else "layer norm"]
        said += [] if norm.weight else ["without a gain"]
        said += ["gain 1 + weight"] if norm.offset else []
        return ", ".join([*said, *(["with a bias"] if norm.bias else [])])

    def _bias(self, switch: Switch) -> str:
        if isinstance(switch, str):
            return f", with a bias if {switch}"
        return ", with a bias" if switch else ""

    def _said(self, factor: Factor) -> str:
        """A factor with its value: `nudge (0.5)`, `head_dim**-0.5`, `0.125`."""
        if not isinstance(factor, str):
            return f"{factor:g}"
        value = self._values.get(factor)
        return factor if value is None else f"{factor} ({value:g})" if not isinstance(value, str) else value

    def _times(self, factor: Factor) -> str:
        return f"* {self._said(factor)}"

    def _softcap(self, cap: Factor) -> Step:
        return Step(f"soft cap ±{self._said(cap)}")
