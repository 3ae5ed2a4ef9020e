"""The steps of what mixes channels: an MLP, or experts."""

from levgen.scaffold.dataflow.steps import Branch, Lane, Step
from levgen.scaffold.dataflow.words import UNKNOWN, Words


class ChannelBlock:
    """The channel block of an architecture."""

    def __init__(self, words: Words) -> None:
        self._say, self._view = words, words.view
        self._a, self._values = words.architecture, words.values

    def mlp(self, before: tuple[Step, ...], output: tuple[Step, ...]) -> Branch:
        """The branch of an MLP, between the steps that come `before` it and those that its `output` passes."""
        answers = self._a.mlp
        configured = answers.activation == "configured" and "activation" not in self._a.unknown
        name = self._say.said("activation") if configured else answers.activation
        act = Step(name, "" if answers.activation == "configured" else "whatever the config says")
        if self._view.learned_activation is not None:
            act = Step(self._say.weight("mlp", "act"), f"{name}, with parameters of its own")
        if "activation" in self._a.unknown:
            act = Step(self._say.weight("mlp", "act"), UNKNOWN)
        bias = self._say.bias(answers.bias).lstrip(", ")
        entry: list[Step] = []
        if answers.kind == "plain":
            lanes: tuple[Lane, ...] = ()
            entry, join = [Step(self._say.weight("mlp", "up"), bias), act], None
        else:
            separate = answers.projections == "separate"
            gate, up = ([Step(self._say.weight("mlp", role), bias)] if separate else [] for role in ("gate", "up"))
            if not separate:
                entry = [Step(self._say.weight("mlp", "gate_up"), f"gate, then up{self._say.bias(answers.bias)}")]
            lanes = (Lane("gate", (*gate, act)), Lane("up", tuple(up)))
            join = Step("gate * up")
        inner = [Step(self._say.weight("mlp", "inner_norm"), self._say.norm)] if answers.inner_norm else []
        down = Step(self._say.weight("mlp", "down"), bias)
        return Branch("mlp", (*before, *entry), lanes, join, (*inner, down, *output))

    def moe(self, before: tuple[Step, ...], output: tuple[Step, ...]) -> Branch:
        """The same of experts."""
        answers = self._a.moe
        count, chosen = self._values["num_experts"], self._values.get("num_experts_per_tok", 2)
        bias = ", with a bias" if answers.router_bias else ""
        router = [Step(self._say.weight("moe", "router"), f"a score for each of {count} experts{bias}")]
        by_logits = answers.scores == "chosen_softmax" or answers.correction_of == "logits"
        if not by_logits and answers.scores != "sparse_mixer":
            router.append(Step(answers.scores, "over all" if answers.scores == "softmax" else "of each"))
        said = [f"the best {chosen}"]
        said += [f"with {self._say.weight('moe', 'correction_bias')} added"] if answers.correction else []
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
            router.append(Step(self._say.times(answers.scale)))
        act = self._say.said("activation") if self._a.mlp.activation == "configured" else self._a.mlp.activation
        gated = f"{act}(gate) * up" if answers.gating == "activation" else "clamped gate * up"
        wide = ", with biases" if answers.bias else ""
        lanes = [
            Lane("weights", tuple(router)),
            Lane("experts", (Step(self._say.weight("moe", "experts"), f"down({gated}) of each{wide}"),)),
        ]
        if answers.shared != "none":
            gate = [Step("* sigmoid", self._say.weight("moe", "shared_gate"))] if answers.shared == "gated" else []
            name = self._say.weight(*(("decoder_layer", "shared") if answers.shared_beside else ("moe", "shared")))
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
