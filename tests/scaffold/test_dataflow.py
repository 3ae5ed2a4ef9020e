"""The dataflow that diagrams are drawn from follows the answers, for a terminal and for Mermaid alike."""

import re

import pytest

from levgen.architecture.catalogue import get, known_types
from levgen.architecture.settings import apply_settings
from levgen.cli.diagram_text import draw
from levgen.cli.layer_graph import Graph, Node, layer_graph, mermaid
from levgen.scaffold.complete import complete
from levgen.scaffold.dataflow.layer import dataflow_of
from levgen.scaffold.dataflow.steps import Dataflow

# A node in one of three shapes, an edge, a subgraph or its end: all that a flowchart of ours is made of.
_TEXT = r'"[^"\\`]*"'
_LINE = re.compile(
    rf"  (  )?n\d+(\[{_TEXT}\]|\(\[{_TEXT}\]\)|\(\({_TEXT}\)\))|  n\d+ --> n\d+|  subgraph \w+\[{_TEXT}\]|  end"
)


def _flow(model_type: str, *settings: str) -> Dataflow:
    return dataflow_of(complete(apply_settings(get(model_type), settings)))


def _named(flow: Dataflow) -> list[str]:
    """The names of the steps of a layer, in the order in which they are drawn."""
    return [node.name for node in layer_graph(flow).nodes if node.kind == "step"]


@pytest.mark.parametrize(
    ("settings", "totals"),
    [
        (["layer.norms=pre"], ["x ← x + attention", "x ← x + mlp"]),
        (["layer.norms=post"], ["x ← x + attention", "x ← x + mlp"]),
        (["layer.parallel=shared"], ["x ← x + attention + mlp"]),
        (["layer.parallel=separate"], ["x ← x + attention + mlp"]),
    ],
    ids=str,
)
def test_blocks_are_added_one_after_another_or_side_by_side(settings: list[str], totals: list[str]) -> None:
    assert [residual.total for residual in _flow("llama", *settings).residuals] == totals


@pytest.mark.parametrize(("order", "over"), [(None, "/ their sum"), (0.5, "/ their norm of order 0.5")])
def test_weights_of_experts_are_divided_by_a_norm(order: float | None, over: str) -> None:
    assert over in _named(_flow("mixtral", f"moe.norm_order={'null' if order is None else order}"))


def _norms(flow: Dataflow) -> list[str]:
    """Where norms stand: before a block, after it, or after the sum."""
    places = []
    for residual in flow.residuals:
        steps = [("shared", residual.shared), ("after the sum", residual.after)]
        for branch in residual.branches:
            steps += [(f"before {branch.name}", branch.before), (f"after {branch.name}", branch.after)]
        places += [place for place, own in steps for step in own if "RMS norm" in step.does]
    return sorted(places)


@pytest.mark.parametrize(
    ("setting", "places"),
    [
        ("layer.norms=pre", ["before attention", "before mlp"]),
        ("layer.norms=post", ["after the sum", "after the sum"]),
        ("layer.norms=sandwich", ["after attention", "after mlp", "before attention", "before mlp"]),
        ("layer.norms=output", ["after attention", "after mlp"]),
        ("layer.parallel=shared", ["shared"]),
        ("layer.parallel=separate", ["before attention", "before mlp"]),
    ],
)
def test_norms_stand_where_the_answers_say(setting: str, places: list[str]) -> None:
    assert _norms(_flow("llama", setting)) == places


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["attention.qk_norm=head"], "q_proj → q_norm → rotate"),
        (["attention.qk_norm=full", "attention.norm_after_rotation=true"], "q_proj → rotate → q_norm"),
        (["attention.qk_norm=full"], "over all heads at once"),
        (["attention.bias=true"], "q_proj → rotate  with a bias; pairs"),
        (["attention.softcap=20.0"], "soft cap ±20"),
        (["attention.clip=8.0"], "q_proj → clip to ±8 → rotate"),
        (["attention.sinks=true"], "a learned logit in the denominator (sinks)"),
        (["attention.window=every"], "the last 4096 keys, scores"),
        (["attention.window=every", "attention.local=chunk"], "the keys of a query's own chunk of 8192, scores"),
        (["attention.qk_norm=head", "attention.qk_norm_weight=false"], "RMS norm, without a gain over each head"),
        (
            ["attention.qk_norm=head", "attention.qk_norm_layers=rotating", "positions.layers=listed"],
            "RMS norm over each head in layers that rotate",
        ),
        (
            ["attention.qk_norm=head", "attention.qk_norm_switch=tie_word_embeddings"],
            "RMS norm over each head, if tie_word_embeddings",
        ),
        (
            ["positions.temperature=every"],
            "1 + temperature_scale (0.1) * log(1 + (position + 1) // temperature_span (8192))",
        ),
        (["moe.layers=every", "moe.weighs=input"], "sum of experts(weights * x)"),
        (["moe.layers=numbered"], "in layers that sparse_layers doesn't number"),
        (["attention.window=by_layer"], "32 * model.layers, which differ in window"),
        (["attention.window=by_layer", "positions.layers=windowed"], "which differ in window and rotation"),
        (["attention.inner_norm=true"], "attn_norm"),
        (["attention.gate=softplus", "attention.gate_per=head"], "* softplus gate_proj, for each head"),
        (
            ["attention.gate=sigmoid", "attention.gate_bias=true"],
            "* sigmoid gate_proj, for each channel, with gate_bias added for each head",
        ),
        (["attention.value_scale=0.5"], "v_proj → * 0.5"),
        (["attention.window=by_layer", "attention.local_kv_multiple=2", "num_kv_heads=4"], "4 key heads, 8 in layers"),
        (["attention.window=by_layer", "attention.local_kv_multiple=2", "num_kv_heads=4"], "in window and heads"),
        (
            ["attention.window=by_layer", "attention.sinks=true", "attention.sinks_in=windowed"],
            "a learned logit in the denominator in layers with a window (sinks)",
        ),
        (["layer.sums=averaged"], "x ← (√n x + attention) / √(n + 1), of n terms before it"),
        (
            [
                "attention.window=by_layer",
                "positions.layers=windowed",
                "positions.growth_length=2048.0",
                "positions.growth_exponent=0.1",
            ],
            "where they don't turn, queries grow by (1 + (position + 1) / 2048) ** 0.1",
        ),
        (["attention.heads=latent"], "q_a_proj → q_a_layernorm → q_b_proj → rotate"),
        (["attention.heads=latent"], "to 512 numbers, and 64 of a key for all heads, with a bias if attention_bias"),
        (["attention.heads=single"], "32 heads over 1 key head, causal"),
        (["attention.projections=concat"], "qkv_proj  queries, then keys, then values"),
        (["positions.kind=alibi"], "(ALiBi)"),
        (["positions.kind=learned"], "+ model.embed_positions  one learned vector a position"),
        (["positions.layout=interleaved"], "pairs (2i, 2i + 1)"),
        (["layer.residual_scale=0.25"], "* 0.25"),
        (["mlp.projections=concat"], "gate_up_proj  gate, then up"),
        (["mlp.kind=plain"], "up_proj with a bias if mlp_bias silu down_proj"),
        (["embeddings.scale=hidden_dim**0.5"], "* hidden_dim**0.5"),
        (["head.scale=0.5", "head.softcap=30.0"], "lm_head * 0.5 soft cap ±30 logits"),
        (["norm.offset=true"], "RMS norm, gain 1 + weight"),
        (["layer.added_bias=last"], "which differ in what the last one holds"),
        (["layer.added_bias=last"], "o_proj with a bias if attention_bias + added_bias in the last layer only"),
        (["layer.attention_norm=but_first"], "input_layernorm RMS norm, not in the first layer"),
        (["head_transform.kind=dense"], "lm_head.dense gelu lm_head.norm RMS norm"),
    ],
    ids=str,
)
def test_every_answer_shows(settings: list[str], said: str) -> None:
    lines = [re.sub(r"[│├╰╮⊕┌└▶]|─+|◀", " ", line) for line in draw(_flow("llama", *settings), 1000)]
    assert " ".join(said.split()) in " ".join(" ".join(lines).split())


def test_a_norm_after_experts_shows() -> None:
    shown = " ".join(" ".join(draw(_flow("deepseek_v3", "layer.mlp_output_norm=sparse"), 1000)).split())
    assert "mlp_output_layernorm RMS norm, in sparse layers only" in shown


@pytest.mark.parametrize("model_type", known_types())
def test_graph_is_connected_and_valid_mermaid(model_type: str) -> None:
    graph = layer_graph(_flow(model_type))
    ids = [node.id for node in graph.nodes]
    entered, left = {target for _, target in graph.edges}, {source for source, _ in graph.edges}
    assert entered == set(ids[1:])
    assert left == set(ids[:-1])
    first, *lines = mermaid(graph).splitlines()
    assert first == "flowchart TB"
    assert [line for line in lines if not _LINE.fullmatch(line)] == []


@pytest.mark.parametrize("model_type", ["gemma2", "gpt2", "cohere", "falcon", "openai_gpt"])
def test_terminal_shows_every_step_of_the_graph(model_type: str) -> None:
    flow = _flow(model_type)
    text = "\n".join(draw(flow))
    assert [name for name in _named(flow) if name not in text] == []


def test_mermaid_cannot_be_steered_by_a_name() -> None:
    graph = Graph([Node("n0", 'a"] --> b; <script> `x` #1', "say \\ & 'so'"), Node("n1", "end")], [("n0", "n1")])
    lines = mermaid(graph).splitlines()[1:]
    assert [line for line in lines if not _LINE.fullmatch(line)] == []
    assert "<script>" not in mermaid(graph)


def test_drawing_keeps_to_the_width() -> None:
    for line in draw(_flow("gemma2"), 80):
        assert len(line) <= 80


def test_drawing_of_a_layer() -> None:
    lines = draw(_flow("llama", "attention.heads=grouped", "num_kv_heads=8"), 100)
    start = lines.index("┌─ 32 * model.layers, all alike")
    assert lines[start : start + 11] == [
        "┌─ 32 * model.layers, all alike",
        "│",
        "├─ x ─╮",
        "│     input_layernorm                   RMS norm",
        "│     ├─ q    q_proj → rotate           with a bias if attention_bias; pairs (i, i + half), theta",
        "│     │                                 10000",
        "│     ├─ k    k_proj → rotate           with a bias if attention_bias",
        "│     ├─ v    v_proj                    with a bias if attention_bias",
        "│     ╰▶ attend                         32 heads over 8 key heads, causal, scores * head_dim**-0.5",
        "│     o_proj                            with a bias if attention_bias",
        "⊕ ◀───╯                                 x ← x + attention",
    ]
