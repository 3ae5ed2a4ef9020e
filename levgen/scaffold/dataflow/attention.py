"""The steps of what mixes positions."""

from levgen.scaffold.dataflow.steps import Branch, Lane, Step
from levgen.scaffold.dataflow.words import Words


class Attention:
    """The attention of an architecture."""

    def __init__(self, words: Words) -> None:
        self._say, self._a, self._values = words, words.architecture, words.values

    def branch(self, before: tuple[Step, ...], output: tuple[Step, ...]) -> Branch:
        """Its branch, between the steps that come `before` it and those that its `output` passes."""
        answers, positions = self._a.attention, self._a.positions
        entry: list[Step] = []
        fused = answers.projections != "separate"
        if fused:
            order = {
                "concat": "queries, then keys, then values",
                "interleaved": "head by head: queries, keys, values",
                "blocks": "four blocks of queries, values, keys",
            }[answers.projections]
            entry.append(Step(self._say.weight("attention", "qkv"), f"{order}{self._say.bias(answers.bias)}"))
        lanes = self._latent_lanes if answers.heads == "latent" else []
        for role in ("q", "k", "v") if not lanes else ():
            steps = (
                [] if fused else [Step(self._say.weight("attention", role), self._say.bias(answers.bias).lstrip(", "))]
            )
            if answers.clip is not None:
                steps.append(Step(f"clip to ±{self._say.said(answers.clip)}"))
            turned = [Step("rotate", self._rotation)] if positions.kind == "rotary" and role != "v" else []
            normed = []
            if answers.qk_norm != "none" and role != "v":
                normed = [Step(self._say.weight("attention", f"{role}_norm"), self._norm_of_queries_and_keys)]
            steps += [*turned, *normed] if answers.norm_after_rotation else [*normed, *turned]
            if role == "q" and positions.temperature != "none":
                steps.append(Step("* temperature", self._temperature))
            if role == "v" and answers.value_scale is not None:
                steps.append(Step(self._say.times(answers.value_scale)))
            lanes.append(Lane(role, tuple(steps)))
        inner = [Step(self._say.weight("attention", "inner_norm"), self._say.norm)] if answers.inner_norm else []
        if answers.gate_in == "queries":
            inner.append(Step(f"* {answers.gate}", f"beside the queries in {self._say.weight('attention', 'q_b')}"))
        elif answers.gate != "none":
            bias = (
                f", with {self._say.weight('attention', 'gate_bias')} added for each head" if answers.gate_bias else ""
            )
            made = f"{self._say.weight('attention', 'gate')}, for each {answers.gate_per}{bias}"
            inner.append(Step(f"* {answers.gate}", made))
        out = Step(self._say.weight("attention", "o"), self._say.bias(answers.output_bias).lstrip(", "))
        return Branch(
            "attention", (*before, *entry), tuple(lanes), Step("attend", self._scores), (*inner, out, *output)
        )

    @property
    def _norm_of_queries_and_keys(self) -> str:
        answers = self._a.attention
        over = "each head" if answers.qk_norm == "head" else "all heads at once"
        kind = self._say.norm if answers.qk_norm_weight else self._say.bare_norm
        where = " in layers that rotate" if answers.qk_norm_layers == "rotating" else ""
        when = f", if {answers.qk_norm_switch}" if isinstance(answers.qk_norm_switch, str) else ""
        return f"{kind} over {over}{where}{when}"

    @property
    def _temperature(self) -> str:
        """What queries are multiplied by beside a scale."""
        positions = self._a.positions
        scale, span = self._say.said("temperature_scale"), self._say.said("temperature_span")
        where = " in layers that don't rotate" if positions.temperature == "unturned" else ""
        when = f", if {positions.temperature_switch}" if isinstance(positions.temperature_switch, str) else ""
        return f"1 + {scale} * log(1 + (position + 1) // {span}){where}{when}"

    @property
    def _latent_lanes(self) -> list[Lane]:
        """Queries, and keys and values, each by way of a vector of low rank."""
        answers, values = self._a.attention, self._values
        rank, turning = values["q_lora_rank"], values["qk_rope_head_dim"]
        joined = f"of that and of {self._say.weight('attention', 'q_a')}'s" if answers.query_latent == "joined" else ""
        down, norm = (
            self._say.bias(answers.bias),
            Step(self._say.weight("attention", "kv_a_norm"), self._say.norm),
        )
        steps = {
            "q_a": Step(self._say.weight("attention", "q_a"), f"to {rank} numbers{down}"),
            "q_a_norm": Step(self._say.weight("attention", "q_a_norm"), self._say.norm),
            "q_b": Step(self._say.weight("attention", "q_b"), joined),
        }
        queries = list(steps.values()) if rank is not None else [Step(self._say.weight("attention", "q"))]
        queries.append(Step("rotate", f"the last {turning} of each head, {self._rotation}"))
        latent = f"to {values['kv_lora_rank']} numbers, and {turning} of a key for all heads{down}"
        keys = [
            Step(self._say.weight("attention", "kv_a"), latent),
            Step("rotate", f"the {turning} of the key"),
            norm,
            Step(self._say.weight("attention", "kv_b"), "the rest of each head's key, and its value"),
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
            where = " in layers that say so" if self._say.by_layer_window else ""
            said.append(f"{self._seen}{where}")
        said.append(f"scores * {self._say.said(answers.scale)}")
        if answers.softcap is not None:
            said.append(self._say.softcap(answers.softcap).name)
        if answers.indexer != "none":
            chosen, heads = self._values["index_topk"], self._values["index_num_heads"]
            where = " in layers that have it, and there for those after them" if answers.indexer == "listed" else ""
            chooser = self._say.weight("attention", "indexer")
            said.append(f"of these the {chosen} that {chooser} chooses with {heads} heads{where}")
        if self._a.positions.kind == "alibi":
            said.append("less the distance * a slope of the head (ALiBi)")
        if answers.sinks:
            where = "" if answers.sinks_in == "every" else " in layers with a window"
            said.append(f"a learned logit in the denominator{where} ({self._say.weight('attention', 'sinks')})")
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
            said.append(f"{self._say.said(positions.rotary_dim)} dimensions of each head")
        if positions.backwards:
            said.append("backwards")
        if positions.query_scaling:
            said.append("queries grow beyond the original length")
        if positions.growth_length is not None:
            power = f"(1 + (position + 1) / {self._say.said(positions.growth_length)})"
            power += f" ** {self._say.said(positions.growth_exponent or 0.0)}"
            said.append(f"where they don't turn, queries grow by {power}")
        said += {
            "every": [],
            "windowed": ["in layers with a window"],
            "windowed_or_dense": ["in layers with a window or without experts"],
            "listed": ["in layers that rope_layers lists"],
            "by_theta": ["in layers whose theta isn't 0"],
        }[positions.layers]
        return ", ".join([*said, *(["layers with a window by a theta of their own"] if positions.local_rope else [])])
