"""`--set`: what it changes, what it refuses, and when a model parts from its reference."""

import pytest

from levgen.architecture.catalogue import get
from levgen.architecture.schema import Unknown, UnknownPart
from levgen.architecture.settings import apply_settings
from levgen.errors import LevgenError
from levgen.scaffold.complete import complete


def test_hyperparameter_keeps_the_reference() -> None:
    changed = complete(apply_settings(get("llama"), ["tie_word_embeddings=true", "hidden_dim=64", "rope.theta=5e5"]))
    assert changed.hyperparameters["tie_word_embeddings"].default is True
    assert changed.hyperparameters["hidden_dim"].default == 64
    assert changed.reference == get("llama").reference


@pytest.mark.parametrize(
    ("part", "setting"), [("mlp", "mlp.kind=plain"), ("activation", "mlp.activation=relu")], ids=["mlp", "activation"]
)
def test_answer_of_what_is_unknown_is_refused(part: UnknownPart, setting: str) -> None:
    partly = get("llama").changed(unknown={part: Unknown(observed="odd", where="odd.py:1")})
    with pytest.raises(LevgenError, match="didn't understand what the reference does there"):
        apply_settings(partly, [setting])
    assert apply_settings(partly, ["attention.qk_norm=head"]).attention.qk_norm == "head"


def test_answer_parts_the_model_from_its_reference() -> None:
    changed = complete(apply_settings(get("llama"), ["attention.qk_norm=head"]))
    assert changed.attention.qk_norm == "head"
    assert changed.reference is None


def test_answer_that_is_set_to_what_it_was_changes_nothing() -> None:
    assert apply_settings(get("gpt2"), ["mlp.kind=plain"]) == get("gpt2")


def test_hyperparameters_follow_the_answers() -> None:
    windowed = complete(apply_settings(get("llama"), ["attention.window=every", "attention.heads=multi"]))
    assert windowed.hyperparameters["sliding_window"].default == 4096
    assert "num_kv_heads" not in windowed.hyperparameters
    assert "rope" not in complete(apply_settings(get("llama"), ["positions.kind=learned"])).hyperparameters


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("attention.qk_nrom=head", "no such answer or hyperparameter", "'attention.qk_norm'"),
        ("hiden_dim=3", "no such answer or hyperparameter", "did you mean 'hidden_dim'"),
        ("hidden_dim", "expected NAME=VALUE", "for example"),
        ("hidden_dim=[", "the value is not YAML", ""),
        ("mlp.kind=sparse", "mlp.kind: expected 'gated' or 'plain', got 'sparse'", ""),
        ("hidden_dim=big", "hidden_dim: expected int, got 'big'", ""),
        ("hidden_dim=-1", "hidden_dim: expected a positive number below 2**31, got -1", ""),
        ("hidden_dim=true", "hidden_dim: expected int, got True", ""),
        ("num_kv_heads=5", "num_heads (32) must be a multiple of num_kv_heads (5)", ""),
        ("head_dim=7", "the width of a head (7) must be even", ""),
        ("activation=siluu", "did you mean 'silu'", ""),
        ('activation="; import os', "activation", ""),
        ("attention.scale=no_such_field", "the architecture doesn't have", ""),
    ],
)
def test_wrong_setting_is_refused(setting: str, message: str, hint: str) -> None:
    with pytest.raises(LevgenError) as caught:
        complete(apply_settings(get("llama"), [setting]))
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
