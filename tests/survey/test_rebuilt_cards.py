"""A card that is rebuilt from its survey is the shipped one."""

from pathlib import Path

import pytest

from levgen.architecture.card import as_data, parse_card, read_card
from levgen.architecture.catalogue import get, known_types
from levgen.survey import cards

# Those that a survey settles again within the slow tests' time; the others are `exhaustive`.
QUICK = ("gemma2", "mpt")
# Answers in which a shipped card knows more of checkpoints than the installed config class says.
OF_CHECKPOINTS = {
    "bloom": {"hyperparameters.max_seq_len.hf", "fixed.slow_but_exact", "ignored"},
    "falcon": {"derived.num_kv_heads", "ignored"},
    "qwen3_moe": {"hyperparameters.head_dim", "attention.head_dim"},
}


def test_answers_that_differ_are_listed() -> None:
    shipped = get("llama")
    data = as_data(shipped)
    data["attention"]["qk_norm"] = "head"
    del data["hyperparameters"]["num_kv_heads"]["unset"]
    data["ignored"] = {"attention_dropout": "another reason", "pretraining_tp": "another"}
    found = parse_card(data, source="test")
    assert list(cards.differences(shipped, shipped)) == []
    assert list(cards.differences(shipped, found)) == [
        "hyperparameters.num_kv_heads.unset: shipped 'num_attention_heads', rebuilt None",
        "attention.qk_norm: shipped 'none', rebuilt 'head'",
    ]


def test_what_no_experiment_tells_is_kept() -> None:
    shipped = get("gemma3_text")
    data = as_data(shipped)
    data |= {"title": "Other", "papers": []}
    data["ignored"] = dict.fromkeys(data["ignored"], "nothing moved")
    data["hyperparameters"] = dict(reversed(data["hyperparameters"].items()))
    for parameter in data["hyperparameters"].values():
        parameter.pop("tiny", None)
        parameter.pop("nano", None)
    assert as_data(cards.rebuilt(shipped, parse_card(data, source="test"))) == as_data(shipped)


def test_what_an_experiment_tells_is_not() -> None:
    shipped = get("llama")
    data = as_data(shipped)
    data["hyperparameters"]["head_dim"]["unset"] = "num_attention_heads"
    data["ignored"]["new_field"] = "nothing moved"
    rebuilt = cards.rebuilt(shipped, parse_card(data, source="test"))
    assert rebuilt.hyperparameters["head_dim"].unset == "num_attention_heads"
    assert rebuilt.ignored["new_field"] == "nothing moved"
    assert rebuilt.ignored["pretraining_tp"] == shipped.ignored["pretraining_tp"]


def test_what_none_means_is_kept_of_all_but_sizes() -> None:
    shipped = get("minicpm3")
    data = as_data(shipped)
    for name in ("scale_depth", "v_head_dim"):
        del data["hyperparameters"][name]["unset"]
    rebuilt = cards.rebuilt(shipped, parse_card(data, source="test")).hyperparameters
    assert rebuilt["scale_depth"].unset == "num_hidden_layers**(1/2)"
    assert rebuilt["v_head_dim"].unset is None


def test_what_a_class_leaves_open_is_kept() -> None:
    data = as_data(get("dots1"))
    data["hyperparameters"]["num_experts"] |= {"default": 64, "open": True}
    shipped = parse_card(data, source="test")
    data["hyperparameters"]["num_experts"]["default"] = 8
    found = parse_card(data, source="test")
    assert cards.rebuilt(shipped, found).hyperparameters["num_experts"].default == 64
    assert list(cards.differences(shipped, found)) == []


def test_fields_that_only_checkpoints_have_are_kept() -> None:
    shipped = get("gemma2")
    data = as_data(shipped)
    (fixed,) = data.pop("fixed")
    data["ignored"] = {fixed: "nothing moved"}
    rebuilt = cards.rebuilt(shipped, parse_card(data, source="test"))
    assert rebuilt.fixed == shipped.fixed
    assert rebuilt.ignored == shipped.ignored


def test_types_are_asked_for_one_way() -> None:
    for arguments in ([], ["llama", "--all"]):
        with pytest.raises(SystemExit) as raised:
            cards.main(arguments)
        assert raised.value.code == 2


@pytest.mark.parametrize(
    "stem", [pytest.param(s, marks=pytest.mark.slow if s in QUICK else pytest.mark.exhaustive) for s in known_types()]
)
def test_rebuilt_card_is_the_shipped_one(stem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    written = tmp_path / f"{stem}.yaml"
    monkeypatch.setattr(cards, "card_path", lambda model_type: written)
    assert cards.main([cards.shipped_type(stem)]) == 0
    differing = {line.partition(":")[0] for line in cards.differences(get(stem), read_card(written))}
    assert differing == OF_CHECKPOINTS.get(stem, set())
