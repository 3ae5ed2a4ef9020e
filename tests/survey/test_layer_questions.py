"""A layer taken apart: dataflow, roles, scores and the channel block, on modules whose names say nothing."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from attentions import DIM, HEADS, KV, WIDTH, Block, Mix
from transformers import LlamaConfig, LlamaForCausalLM

from levgen.reference.find import Found, find_type
from levgen.reference.randomize import token_ids
from levgen.reference.record import Call, record
from levgen.reference.sizing.values import VOCAB
from levgen.reference.tiny import tiny
from levgen.survey.evidence import UnresolvedError
from levgen.survey.observe.anatomy import Anatomy, dissect
from levgen.survey.observe.chain import find_chain
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.questions.activation import find_channel_block
from levgen.survey.questions.channels import Roles, move_channels
from levgen.survey.questions.dataflow import find_dataflow
from levgen.survey.questions.output_gate import find_output_gate
from levgen.survey.questions.query_growth import find_query_growth
from levgen.survey.questions.roles import find_roles, likely_roles
from levgen.survey.questions.scores import Growth, Scores, find_scores, likely_scores
from levgen.survey.structure import find_structure


def _dissect(block: Block) -> Anatomy:
    torch.manual_seed(0)
    x = torch.randn(1, LENGTH, WIDTH, dtype=torch.float64)
    (call,) = record(lambda: block(x), {"layer": block}, arguments=True)
    return dissect(call)


def _attention(**answers: Any) -> tuple[Roles, Scores]:
    anatomy = _dissect(Block(Mix(**answers)))
    roles = find_roles(anatomy, find_dataflow(anatomy).attention_core)
    return roles, find_scores(anatomy, roles)


@pytest.mark.parametrize(
    ("order", "norms", "parallel"),
    [
        ("pre", "pre", "no"),
        ("post", "post", "no"),
        ("sandwich", "sandwich", "no"),
        ("output", "output", "no"),
        ("shared", "pre", "shared"),
        ("separate", "pre", "separate"),
    ],
)
def test_what_feeds_what(order: str, norms: str, parallel: str) -> None:
    flow = find_dataflow(_dissect(Block(Mix(), order=order)))
    assert (flow.norms, flow.parallel, flow.residual_scale) == (norms, parallel, 1.0)
    assert (flow.attention_output, flow.mlp_output) == ("m.d", "i")


def test_a_factor_on_what_blocks_add() -> None:
    assert find_dataflow(_dissect(Block(Mix(), factor=0.6))).residual_scale == pytest.approx(0.6)


def test_a_stream_that_is_averaged() -> None:
    """The input is made up of 2 terms: after attention of 3, after the MLP of 4."""
    flow = find_dataflow(_dissect(Block(Mix(), order="averaged")))
    assert (flow.norms, flow.parallel, flow.residual_scale, flow.terms) == ("pre", "no", 1.0, 2)
    assert find_dataflow(_dissect(Block(Mix()))).terms is None
    with pytest.raises(UnresolvedError, match="what feeds what in a layer"):
        find_dataflow(_dissect(Block(Mix(), order="averaged", factor=0.9)))


@pytest.mark.parametrize(
    ("order", "missing", "kept"),
    [("no first norm", "attention_norm", {"mlp_norm": "t"}), ("no second norm", "mlp_norm", {"attention_norm": "s"})],
)
def test_a_norm_that_a_layer_has_not_got(order: str, missing: str, kept: dict[str, str]) -> None:
    flow = find_dataflow(_dissect(Block(Mix(), order=order)))
    assert (flow.norms, flow.parallel, flow.missing, flow.norm_roles) == ("pre", "no", missing, kept)


@pytest.mark.parametrize("factor", [1.0, 0.6])
def test_a_bias_that_is_added_to_what_attention_puts_out(factor: float) -> None:
    flow = find_dataflow(_dissect(Block(Mix(), order="added bias", factor=factor)))
    assert (flow.norms, flow.added_bias, flow.missing) == ("pre", "w", None)
    assert flow.residual_scale == pytest.approx(factor)


@pytest.mark.parametrize(("order", "factor"), [("bias of the stream", 0.6), ("bias of the MLP", 1.0)])
def test_another_added_bias_is_unknown(order: str, factor: float) -> None:
    with pytest.raises(UnresolvedError, match="added to more or less than the attention"):
        find_dataflow(_dissect(Block(Mix(), order=order, factor=factor)))


@pytest.mark.parametrize("factor", [1.0, 0.6])
def test_an_mlp_beside_experts(factor: float) -> None:
    """Both read what the block of a layer does, and both are added as much."""
    flow = find_dataflow(_dissect(Block(Mix(), order="experts", factor=factor)))
    assert (flow.norms, flow.parallel, flow.mlp_output) == ("pre", "no", "q")
    assert flow.residual_scale == pytest.approx(factor)
    assert flow.beside is not None
    assert (flow.beside.inputs, flow.beside.output) == (("g", "h"), "i")
    block = find_channel_block(_dissect(Block(Mix(), order="experts")), flow.beside.core)
    assert (block.kind, block.projections, block.gate, block.up, block.width) == ("gated", "separate", "g", "h", 14)


@pytest.mark.parametrize("order", ["experts and half", "experts before a norm"])
def test_another_mlp_beside_experts_is_unknown(order: str) -> None:
    with pytest.raises(UnresolvedError, match="what feeds what in a layer"):
        find_dataflow(_dissect(Block(Mix(), order=order)))


def test_roles_of_norms_around_blocks() -> None:
    flow = find_dataflow(_dissect(Block(Mix(), order="sandwich")))
    assert flow.norm_roles == {
        "attention_norm": "s",
        "attention_output_norm": "t",
        "mlp_norm": "u",
        "mlp_output_norm": "v",
    }


def test_an_unknown_wiring_is_told_as_seen() -> None:
    with pytest.raises(UnresolvedError, match="<output> <- 1 s"):
        find_dataflow(_dissect(Block(Mix(), order="normed residual")))


def test_heads_groups_and_roles() -> None:
    roles, _ = _attention()
    assert (roles.heads, roles.kv_heads, roles.head_dim, roles.order, roles.window) == (
        HEADS,
        KV,
        DIM,
        "separate",
        None,
    )
    assert {leaf: places[0][0] for leaf, places in roles.places.items()} == {"m.a": "q", "m.b": "k", "m.c": "v"}


@pytest.mark.parametrize("fused", ["concat", "interleaved"])
@pytest.mark.parametrize("kv", [1, 2, 4])
def test_orders_of_one_matrix(fused: str, kv: int) -> None:
    roles, _ = _attention(fused=fused, kv=kv)
    assert (roles.kv_heads, roles.window) == (kv, None)
    # With a single key head both orders are one.
    assert roles.order == ("concat" if kv == 1 else fused)


@pytest.mark.parametrize(("window", "chunk"), [(8, None), (None, 8), (None, 11)])
@pytest.mark.parametrize("layout", ["interleaved", None])
def test_the_last_keys_or_those_of_a_chunk(window: int | None, chunk: int | None, layout: str | None) -> None:
    roles, scores = _attention(window=window, chunk=chunk, layout=layout)
    assert (roles.window, roles.chunk) == (window, chunk)
    assert (scores.layout, scores.query_scaling) == (layout, None)
    assert scores.scale == pytest.approx(DIM**-0.5, rel=1e-5)


def test_chunks_that_begin_elsewhere_are_unknown() -> None:
    with pytest.raises(UnresolvedError, match="window"):
        _attention(chunk=8, twist="later chunks")


def test_one_norm_that_is_called_for_queries_and_for_keys() -> None:
    anatomy = _dissect(Block(Mix(normed=True, layout="interleaved", chunk=9)))
    roles = find_roles(anatomy, find_dataflow(anatomy).attention_core)
    scores = find_scores(anatomy, roles)
    assert set(roles.core.sources) == {"m.n@0", "m.n@1", "m.c"}
    assert (scores.layout, scores.norm_after_rotation, roles.chunk) == ("interleaved", True, 9)


def test_a_matrix_of_blocks() -> None:
    roles, _ = _attention(fused="blocks", kv=HEADS)
    assert roles.order == "blocks"


def test_an_unknown_order_is_told() -> None:
    with pytest.raises(UnresolvedError, match="v0 k0 q0"):
        _attention(fused="values first")


@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("turning", [4, 6])
def test_rotation(layout: str, turning: int) -> None:
    _, scores = _attention(layout=layout, turning=turning)
    assert scores.layout == layout
    half = turning // 2
    assert scores.frequencies == pytest.approx([500.0 ** (-i / half) for i in range(half)], rel=1e-6)
    assert scores.scale == pytest.approx(DIM**-0.5, rel=1e-6)


def test_scale_cap_window_and_slopes() -> None:
    roles, scores = _attention(layout=None, scale=0.9, cap=5.0, window=7)
    assert (roles.window, scores.layout, scores.alibi) == (7, None, False)
    assert (scores.scale, scores.softcap) == (pytest.approx(0.9, rel=1e-5), pytest.approx(5.0, rel=1e-5))
    _, sloped = _attention(layout=None, slopes=True)
    assert sloped.alibi


@pytest.mark.parametrize("bound", [3.0, 40.0])
def test_a_clip_of_queries_keys_and_values(bound: float) -> None:
    _, scores = _attention(clip=bound)
    assert scores.clip == bound
    assert scores.scale == pytest.approx(DIM**-0.5, rel=1e-6)
    assert scores.layout == "half"


def test_sinks_are_the_parameter_that_takes_part_in_the_softmax() -> None:
    _, scores = _attention(sinks=True)
    assert scores.sinks == "m.e"
    assert scores.scale == pytest.approx(DIM**-0.5, rel=1e-6)


@pytest.mark.parametrize(("name", "gates", "per"), [("sigmoid", HEADS * DIM, 1), ("softplus", HEADS, DIM)])
def test_a_gate_on_what_attention_puts_out(name: str, gates: int, per: int) -> None:
    function = {"sigmoid": torch.sigmoid, "softplus": torch.nn.functional.softplus}[name]
    anatomy = _dissect(Block(Mix(gate=function, gates=gates, window=7)))
    core = find_dataflow(anatomy).attention_core
    gate = find_output_gate(anatomy, core)
    assert gate is not None
    assert (gate.leaf, gate.function, gate.per) == ("m.f", name, per)
    opened, core = gate.opened(anatomy, core)
    roles = find_roles(opened, core)
    assert (roles.heads, roles.kv_heads, roles.window) == (HEADS, KV, 7)
    assert find_scores(opened, roles).scale == pytest.approx(DIM**-0.5, rel=1e-6)


def test_attention_without_a_gate_has_none() -> None:
    for answers in ({}, {"window": 7}, {"fused": "concat"}, {"kv": HEADS, "sinks": True}):
        anatomy = _dissect(Block(Mix(**answers)))
        assert find_output_gate(anatomy, find_dataflow(anatomy).attention_core) is None


@pytest.mark.parametrize("function", [torch.tanh, lambda x: 1.01 * torch.sigmoid(1.01 * x)])
def test_a_gate_of_another_function_is_unknown(function: Any) -> None:
    anatomy = _dissect(Block(Mix(gate=function)))
    with pytest.raises(UnresolvedError, match="gate on what attention puts out"):
        find_output_gate(anatomy, find_dataflow(anatomy).attention_core)


def test_a_factor_on_a_gate_is_one_on_values() -> None:
    """Nothing tells a factor on a gate from one on the values, and it is taken for that."""
    anatomy = _dissect(Block(Mix(gate=lambda x: 2 * torch.sigmoid(x))))
    core = find_dataflow(anatomy).attention_core
    gate = find_output_gate(anatomy, core)
    assert gate is not None
    opened, core = gate.opened(anatomy, core)
    assert find_scores(opened, find_roles(opened, core)).value_scale == 2.0


@pytest.mark.parametrize("numbers", [HEADS, 2, HEADS * DIM])
def test_a_parameter_that_is_added_to_a_gate(numbers: int) -> None:
    anatomy = _dissect(Block(Mix(gate=torch.sigmoid, gate_bias=numbers, sinks=True)))
    core = find_dataflow(anatomy).attention_core
    gate = find_output_gate(anatomy, core)
    assert gate is not None
    assert (gate.leaf, gate.function, gate.bias) == ("m.f", "sigmoid", "m.z")
    opened, core = gate.opened(anatomy, core)
    scores = find_scores(opened, find_roles(opened, core))
    assert (scores.sinks, scores.value_scale) == ("m.e", 1.0)


def test_a_parameter_that_multiplies_a_gate_is_unknown() -> None:
    anatomy = _dissect(Block(Mix(gate=lambda x: torch.sigmoid(2 * x), gate_bias=HEADS)))
    with pytest.raises(UnresolvedError, match="gate on what attention puts out"):
        find_output_gate(anatomy, find_dataflow(anatomy).attention_core)


@pytest.mark.parametrize("sinks", [False, True])
@pytest.mark.parametrize("window", [None, 7])
def test_values_of_a_width_of_their_own_and_a_factor_on_them(sinks: bool, window: int | None) -> None:
    roles, scores = _attention(value=5, louder=0.7, sinks=sinks, window=window)
    assert (roles.heads, roles.kv_heads, roles.head_dim, roles.value_dim) == (HEADS, KV, DIM, 5)
    assert (roles.order, roles.window) == ("separate", window)
    assert scores.value_scale == pytest.approx(0.7, rel=1e-7)
    assert scores.sinks == ("m.e" if sinks else None)
    assert scores.scale == pytest.approx(DIM**-0.5, rel=1e-6)


def _grown(growth: Any) -> Scores:
    block = Block(Mix(layout=None, growth=growth))
    anatomy = _dissect(block)
    roles = find_roles(anatomy, find_dataflow(anatomy).attention_core)

    def at(positions: Any) -> Call:
        assert isinstance(block.m, Mix)
        block.m.start = int(positions[0, 0])
        x = torch.randn(1, LENGTH, WIDTH, dtype=torch.float64)
        (call,) = record(lambda: block(x), {"layer": block}, arguments=True)
        return call

    return find_query_growth(at, anatomy, roles, find_scores(anatomy, roles))


@pytest.mark.parametrize(("length", "exponent"), [(2048.0, 0.1), (700.0, 0.25)])
def test_queries_that_grow_by_a_power_where_nothing_rotates(length: float, exponent: float) -> None:
    scores = _grown(lambda p: (1 + (p + 1) / length) ** exponent)
    assert scores.growth == Growth(length, exponent)
    assert scores.query_scaling is None
    assert scores.scale == pytest.approx(DIM**-0.5, rel=1e-6)


def test_growth_by_a_logarithm_is_unknown() -> None:
    with pytest.raises(UnresolvedError, match=r"logarithm 0\.1 over 700: known is a power only"):
        _grown(lambda p: 1 + 0.1 * torch.log1p((p + 1) / 700))


@pytest.mark.parametrize(
    "growth",
    [
        lambda p: 1 + 0.1 * torch.log1p(((p + 1) / 10).floor()),
        lambda p: (1 + (p + 1) / 700).clamp(max=50.0) ** 0.2,
    ],
)
def test_other_growth_is_left_to_the_fields(growth: Any) -> None:
    scores = _grown(growth)
    assert scores.growth is None
    expected = growth(torch.arange(1, LENGTH).double())
    assert scores.query_scaling == pytest.approx([1.0, *(expected / expected[0]).tolist()], rel=1e-5)


def test_queries_that_grow_with_their_position() -> None:
    _, scores = _attention(twist="temperature")
    assert scores.query_scaling is not None
    # Nothing tells at position 0, which sees itself only; what is alike everywhere belongs to the scale.
    grown = [1 + 0.1 * max(position, 1) for position in range(LENGTH)]
    assert scores.query_scaling == pytest.approx([factor / grown[1] for factor in grown], rel=1e-5)
    assert scores.scale == pytest.approx(grown[1] * DIM**-0.5, rel=1e-5)
    assert scores.layout == "half"
    assert _attention(cap=5.0, window=7)[1].query_scaling is None


@pytest.mark.parametrize(
    ("twist", "observed"),
    [
        ("shifted key", "at queries along a key"),
        ("clamped", "moves nothing"),
        ("temperature of heads", "it differs by head"),
        ("first token", "the last keys of 41"),
        ("sink", "sums of probabilities"),
    ],
)
def test_a_mechanism_of_no_candidate_is_unknown(twist: str, observed: str) -> None:
    with pytest.raises(UnresolvedError, match=observed):
        _attention(twist=twist, window=7 if twist == "first token" else None)


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (torch.nn.functional.silu, "silu"),
        (torch.nn.functional.gelu, "gelu"),
        (lambda x: torch.nn.functional.gelu(x, approximate="tanh"), "gelu_pytorch_tanh"),
        (lambda x: torch.relu(x) ** 2, "relu2"),
    ],
)
def test_activations(act: Any, name: str) -> None:
    anatomy = _dissect(Block(Mix(), act=act))
    block = find_channel_block(anatomy, find_dataflow(anatomy).mlp_core)
    assert name in block.activations
    assert (block.kind, block.projections, block.gate, block.up) == ("gated", "separate", "g", "h")


@pytest.mark.parametrize(
    "act", [lambda x: x * torch.sigmoid(1.6 * x), lambda x: torch.nn.functional.silu(x).clamp(max=20)]
)
def test_an_activation_of_no_name_is_unknown(act: Any) -> None:
    anatomy = _dissect(Block(Mix(), act=act))
    with pytest.raises(UnresolvedError):
        find_channel_block(anatomy, find_dataflow(anatomy).mlp_core)


def test_channels_move_alike_one_by_one_and_several_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(Found("plain", LlamaConfig, LlamaForCausalLM, {})).build()
    anatomy = dissect(find_chain(model, lambda: model(token_ids(VOCAB, LENGTH))).layers[0])
    core = find_dataflow(anatomy).attention_core
    forwards: list[Any] = []
    run = anatomy.probe.run
    monkeypatch.setattr(anatomy.probe, "run", lambda *given, **named: (forwards.append(1), run(*given, **named))[1])
    together = move_channels(anatomy, core)
    several = len(forwards)
    monkeypatch.setattr(anatomy, "_takes_several", lambda *given: False)
    assert move_channels(anatomy, core) == together
    assert 4 * several < len(forwards) - several
    assert {leaf: {role for role, _ in moved} for leaf, moved in together.kinds.items()} == {
        "self_attn.q_proj": {"q"},
        "self_attn.k_proj": {"k"},
        "self_attn.v_proj": {"v"},
    }


def test_a_layer_that_takes_one_text_is_found_out_one_by_one() -> None:
    anatomy = _dissect(Block(Mix()))
    core = find_dataflow(anatomy).attention_core
    assert not anatomy._takes_several(core.sources, core.target)
    assert find_roles(anatomy, core).heads == HEADS


_KINDS: list[dict[str, Any]] = [
    {},
    {"cap": 3.0},
    {"sinks": True},
    {"slopes": True, "layout": None},
    {"window": 9},
    {"chunk": 8},
    {"clip": 2.0},
    {"fused": "interleaved", "kv": 4},
]
_UNLIKE: list[dict[str, Any]] = [
    {"scale": 1.0001 * DIM**-0.5},
    {"theta": 501.0},
    {"cap": 30.0},
    {"window": 40},
    {"window": 8},
    {"layout": "interleaved"},
    {"turning": 4},
    {"layout": None},
    {"slopes": True},
    {"clip": 9.0},
    {"louder": 1.0001},
]


@pytest.mark.parametrize("answers", _KINDS, ids=str)
def test_an_attention_is_known_again(answers: dict[str, Any]) -> None:
    roles, scores = _attention(**answers)
    block = Block(Mix(**answers))
    for matrix in (parameter for parameter in block.parameters() if parameter.dim() == 2):
        torch.nn.init.normal_(matrix, std=0.3)
    anatomy = _dissect(block)
    core = find_dataflow(anatomy).attention_core
    assert likely_roles(anatomy, core, roles) == roles
    assert likely_scores(anatomy, roles, scores) == scores


@pytest.mark.parametrize("answers", _UNLIKE, ids=str)
def test_another_attention_is_not_taken_for_a_known_one(answers: dict[str, Any]) -> None:
    roles, scores = _attention()
    anatomy = _dissect(Block(Mix(**answers)))
    likely = likely_roles(anatomy, find_dataflow(anatomy).attention_core, roles)
    assert likely is not None
    assert likely_scores(anatomy, likely, scores) is None


@pytest.mark.parametrize(("one", "other"), [("concat", "interleaved"), ("interleaved", "concat")])
def test_another_order_of_a_matrix_is_not_taken_for_a_known_one(one: str, other: str) -> None:
    """Of as many channels, so that shapes tell nothing."""
    roles, scores = _attention(fused=one)
    anatomy = _dissect(Block(Mix(fused=other)))
    likely = likely_roles(anatomy, find_dataflow(anatomy).attention_core, roles)
    assert likely is not None
    assert likely_scores(anatomy, likely, scores) is None


def test_heads_of_another_width_are_found_where_as_many_channels_are_known() -> None:
    """Norms of heads between the matrix and the scores: the known heads' channels don't even lie in any order there."""
    reference = tiny(find_type("persimmon"))
    ids = token_ids(VOCAB, LENGTH)
    known = find_structure(reference.build(), ids)
    heads = known.layers[0].roles.heads
    other = find_structure(reference.build(num_attention_heads=heads // 2), ids, every_layer=False, like=known)
    roles, before = other.layers[0].roles, known.layers[0].roles
    assert (roles.heads, roles.head_dim, roles.order) == (heads // 2, 2 * before.head_dim, before.order)
