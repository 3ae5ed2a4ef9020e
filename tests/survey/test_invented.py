"""Architectures that exist in no library, with names of modules and fields that nobody has seen.

Those of known parts are rebuilt with no help. Two have a mechanism that levgen doesn't know: it ends as unknown, where
it is. None may come out wrong.
"""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the reference is in torch")

from levgen.cli.surveying import survey_model

pytestmark = pytest.mark.slow
INVENTED = Path(__file__).parent / "invented"

# Answers that tell each of the known ones from a plain decoder: `group.answer`, as a card writes them.
KNOWN: dict[str, dict[str, object]] = {
    "badger": {
        "norm.weight": False,
        "positions.kind": "none",
        "attention.window": "every",
        "mlp.projections": "concat",
        "mlp.activation": "gelu_pytorch_tanh",
        "layer.norms": "output",
        "layer.residual_scale": "weary",
        "head.scale": "loud",
    },
    "bracken": {
        "norm.kind": "rms",
        "positions.kind": "none",
        "attention.qk_norm": "head",
        "mlp.bias": "thorny",
        "layer.norms": "post",
        "layer.residual_scale": "mild",
        "head.final_norm": False,
    },
    "cedar": {
        "positions.layout": "interleaved",
        "attention.heads": "single",
        "attention.transposed": True,
        "attention.bias": "roots",
        "mlp.kind": "plain",
        "mlp.multiple": 4,
        "layer.parallel": "shared",
    },
    "comet": {
        "norm.bias": True,
        "attention.heads": "grouped",
        "attention.projections": "interleaved",
        "attention.bias": "icy",
        "attention.output_bias": "icy",
        "mlp.kind": "plain",
        "mlp.bias": True,
        "mlp.inner_norm": True,
        "layer.norms": "sandwich",
        "embeddings.norm": True,
    },
    "fern": {
        "positions.kind": "learned",
        "positions.offset": 2,
        "attention.projections": "concat",
        "attention.bias": True,
        "mlp.kind": "plain",
        "layer.norms": "post",
        "head.softcap": "hush",
        "head.final_norm": False,
    },
    "heron": {
        "attention.qk_norm": "full",
        "attention.softcap": "glare",
        "layer.norms": "output",
        "head.softcap": "murmur",
    },
    "juniper": {
        "positions.kind": "sinusoidal",
        "positions.table": "tensor2tensor",
        "attention.projections": "interleaved",
        "mlp.inner_norm": True,
        "layer.norms": "sandwich",
        "embeddings.norm": True,
        "head.bias": True,
    },
    "lichen": {
        "positions.local_rope": True,
        "attention.projections": "concat",
        "attention.window": "by_layer",
        "mlp.projections": "concat",
        "layer.parallel": "separate",
    },
    "moss": {
        "positions.kind": "alibi",
        "attention.heads": "grouped",
        "mlp.projections": "concat",
        "layer.norms": "sandwich",
        "embeddings.scale": "hidden_dim**0.5",
    },
    "otter": {
        "norm.kind": "layer",
        "positions.layers": "windowed",
        "attention.qk_norm": "head",
        "attention.norm_after_rotation": True,
        "attention.window": "by_layer",
        "attention.inner_norm": True,
    },
    "puffin": {"attention.clip": "snap", "attention.sinks": True},
    "sedge": {
        "attention.qk_norm": "head",
        "mlp.kind": "plain",
        "layer.parallel": "separate",
        "embeddings.norm": False,
        "head.bias": False,
    },
    "willow": {
        "norm.offset": True,
        "positions.layout": "interleaved",
        "attention.qk_norm": "head",
        "layer.parallel": "separate",
        "layer.residual_scale": "nudge",
    },
    "yarrow": {
        "norm.offset": True,
        "attention.bias": "stung",
        "attention.output_bias": False,
        "attention.scale": "poise**-0.5",
        "embeddings.scale": "bloom",
        "head.scale": "fade**-1",
    },
}
SAME = {"gelu_new": "gelu_pytorch_tanh"}  # two names of one function
# Mechanisms that levgen has no answer for, and where the survey stops: (question, what was observed).
FOREIGN = {
    "nettle": ("what feeds what in a layer", "2 places where positions mix"),
    "thistle": ("scale", "at queries along a key"),
}


def test_every_folder_is_expected_to_end_somehow() -> None:
    folders = {path.name for path in INVENTED.iterdir() if (path / "config.json").is_file()}
    assert folders == {*KNOWN, *FOREIGN}
    assert len(folders) >= 12
    assert len(FOREIGN) >= 2


@pytest.mark.parametrize("name", KNOWN)
def test_known_parts_under_unlike_names_are_rebuilt(name: str) -> None:
    found = survey_model(INVENTED / name, trust_remote_code=True)
    assert found.architecture is not None, found.unknown
    assert max(found.errors) <= 1e-4
    assert found.gradient_error is not None
    assert found.gradient_error <= 1e-3
    groups = found.architecture.groups()
    for answer, expected in KNOWN[name].items():
        group, _, role = answer.partition(".")
        value = getattr(groups[group], role)
        assert SAME.get(value, value) == expected, answer


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_mechanism_ends_as_unknown_where_it_is(name: str) -> None:
    found = survey_model(INVENTED / name, trust_remote_code=True)
    assert found.architecture is None
    question, observed = FOREIGN[name]
    assert [unknown.question for unknown in found.unknown] == [question]
    assert observed in found.unknown[0].observed
    assert found.unknown[0].where
