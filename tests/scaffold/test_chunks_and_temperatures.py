"""Models with chunks, a temperature and norms of some layers' queries and keys: they decode and pack as they should.

No reference is needed: a text is the same whether it comes at once, token by token or beside another one.
"""

import sys
from types import ModuleType
from typing import Any

import equinox as eqx
import haliax as hax
import jax.random as jrandom
import numpy as np
import pytest
from haliax import Axis, NamedArray

from levgen.architecture.catalogue import get
from levgen.architecture.settings import apply_settings
from levgen.runtime import AttentionMask
from levgen.runtime.generation.kv_cache import first_step, next_step
from levgen.runtime.testing import relative_error
from levgen.scaffold.complete import complete
from levgen.scaffold.names import model_name
from levgen.scaffold.port import render_model

Vocab, Pos = Axis("vocab", 61), Axis("position", 22)
SIZES = {
    "max_seq_len": 32,
    "hidden_dim": 32,
    "intermediate_dim": 48,
    "num_layers": 3,
    "num_heads": 4,
    "num_kv_heads": 2,
    "chunk_size": 5,
    "temperature_span": 3,
    "temperature_scale": 0.7,
    "initializer_range": 0.4,
}
CHUNKS = ("attention.local=chunk", "positions.temperature_switch=tie_word_embeddings", "attention.heads=grouped")
CASES = {
    "some layers": (
        ("attention.window=by_layer", "positions.layers=listed", "positions.temperature=unturned"),
        ("attention.qk_norm=head", "attention.qk_norm_layers=rotating", "attention.qk_norm_weight=false"),
        ("attention.norm_after_rotation=true",),
        {"rope_layers": (1, 0, 1), "layer_types": ("chunked_attention", "full_attention", "chunked_attention")},
    ),
    "every layer": (
        ("attention.window=every", "positions.kind=none", "positions.temperature=every"),
        ("attention.qk_norm=full", "attention.qk_norm_switch=tie_word_embeddings"),
        ("attention.projections=concat",),
        {},
    ),
    "rotation after norms": (
        ("attention.window=by_layer", "positions.layers=windowed", "positions.temperature=unturned"),
        ("attention.qk_norm=head", "attention.qk_norm_layers=rotating", "attention.qk_norm_switch=tie_word_embeddings"),
        ("attention.projections=concat",),
        {"layer_types": ("chunked_attention", "full_attention", "chunked_attention")},
    ),
}


def _model(case: str, *, on: bool = True, **sizes: float) -> Any:
    *settings, lists = CASES[case]
    flat = [setting for group in settings for setting in group]
    architecture = complete(apply_settings(get("llama"), [*CHUNKS, *flat]))
    module = ModuleType("chunked")
    sys.modules["chunked"] = module  # dataclasses look their own module up
    exec(compile(render_model(architecture, model_name("chunked")), "chunked.py", "exec"), vars(module))
    config = module.ChunkedConfig(**(SIZES | sizes), **lists, tie_word_embeddings=on)
    return eqx.filter_jit(module.ChunkedLMHeadModel.init)(Vocab, config, key=jrandom.PRNGKey(0))


@eqx.filter_jit
def _logits(model: Any, ids: NamedArray, mask: Any = None, pos_ids: NamedArray | None = None) -> NamedArray:
    out: NamedArray = model(ids, mask, pos_ids)
    return out


def _tokens(seed: int) -> NamedArray:
    tokens: NamedArray = hax.random.randint(jrandom.PRNGKey(seed), (Axis("batch", 2), Pos), 0, Vocab.size)
    return tokens


@pytest.mark.parametrize("case", ["some layers", *(pytest.param(c, marks=pytest.mark.slow) for c in list(CASES)[1:])])
def test_a_text_token_by_token_and_beside_another(case: str) -> None:
    model, ids = _model(case), _tokens(1)
    whole = _logits(model, ids)

    prompt = ids["position", :12]
    logits, cache = first_step(model, prompt, hax.ones(prompt.axes, dtype=bool), capacity=Pos.size)
    assert relative_error(logits, whole["position", 11]) < 1e-5
    following = eqx.filter_jit(next_step)
    for position in range(12, Pos.size):
        logits, cache = following(model, ids["position", position : position + 1], cache)
        assert relative_error(logits, whole["position", position]) < 1e-5

    lengths = (8, 14)
    positions = hax.named(np.concatenate([np.arange(n) for n in lengths]), Pos)
    segments = hax.named(np.repeat([0, 1], lengths), Pos)
    packed = _logits(model, ids, AttentionMask.causal().with_segment_ids(segments), positions)
    assert relative_error(packed["position", :8], _logits(model, ids["position", :8])) < 1e-5
    assert relative_error(packed["position", 8:], _logits(model, ids["position", 8:])) < 1e-5


@pytest.mark.slow
def test_a_switch_takes_norms_and_temperature_away() -> None:
    ids, logits = _tokens(2), {}
    for on in (True, False):
        models = [_model("every layer", on=on, temperature_scale=scale) for scale in (0.7, 0.1)]
        logits[on] = [_logits(model, ids) for model in models]
        assert (models[0].transformer.layers.get_layer(0).self_attn.q_norm is not None) == on
    assert relative_error(*logits[True]) > 1e-3
    assert relative_error(*logits[False]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("case", ["some layers", "every layer"])
def test_a_chunk_hides_what_comes_before_it(case: str) -> None:
    """In a model of chunks only, a token moves nothing outside of its own; a layer without them passes it on."""
    model, ids = _model(case), _tokens(3)
    changed = ids.updated_slice({"position": 6}, (ids["position", 6:7] + 1) % Vocab.size)
    moved = hax.abs(_logits(model, ids) - _logits(model, changed)).array.max(axis=(0, 2)) > 0
    assert moved[6:10].all()
    assert not moved[:6].any()
    assert moved[10:].any() == (case == "some layers")
