import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levgen.training import data_dir
from levgen.training.project import find_project
from levgen.training.tokenizer import TokenizerError, load_tokenizer

SHIPPED = load_tokenizer(str(data_dir() / "tokenizer"), find_project(Path(__file__)))


@given(st.text())
def test_a_token_is_a_byte(text: str) -> None:
    ids = SHIPPED.encode_documents([text], with_eos=True).tolist()
    assert ids == [*text.encode("utf-8"), 256]
    assert SHIPPED.fast.decode(ids[:-1]) == text


def test_special_tokens() -> None:
    assert (SHIPPED.vocab_size, SHIPPED.bos_id, SHIPPED.eos_id) == (258, None, 256)
    assert SHIPPED.encode_documents(["a", "b"], with_eos=False).tolist() == [97, 98]
    assert SHIPPED.encode_documents([], with_eos=True).tolist() == []


def test_transformers_reads_the_same_tokenizer() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(data_dir() / "tokenizer")
    text = "Héllo  wörld\n\n don't"
    assert tokenizer(text)["input_ids"] == list(text.encode())
    assert tokenizer.decode(list(text.encode())) == text
    assert (len(tokenizer), tokenizer.eos_token_id, tokenizer.pad_token_id) == (258, 256, 257)


def test_bos_goes_before_each_document(project: Path) -> None:
    path = project / "data" / "tokenizer" / "tokenizer_config.json"
    path.write_text(json.dumps({"bos_token": {"content": "<|endoftext|>"}, "eos_token": "<|padding|>"}))
    tokenizer = load_tokenizer("data/tokenizer", find_project(project))
    assert tokenizer.encode_documents(["a", "b"], with_eos=True).tolist() == [256, 97, 257, 256, 98, 257]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("tokenizer.json", "{}", "tokenizer.json is not a tokenizer: "),
        ("tokenizer_config.json", "{", "tokenizer_config.json is not JSON: "),
        ("tokenizer_config.json", "[]", "tokenizer_config.json: expected an object, got list"),
        ("tokenizer_config.json", '{"eos_token": "</s>"}', "names eos_token '</s>', which tokenizer.json hasn't got"),
    ],
)
def test_broken_tokenizer(project: Path, name: str, content: str, problem: str) -> None:
    (project / "data" / "tokenizer" / name).write_text(content)
    with pytest.raises(TokenizerError, match=problem):
        load_tokenizer("data/tokenizer", find_project(project))


def test_missing_tokenizer_says_where_one_is(project: Path) -> None:
    with pytest.raises(TokenizerError) as caught:
        load_tokenizer("gpt2", find_project(project))
    assert caught.value.message == "data.tokenizer: expected a folder with a tokenizer.json, got 'gpt2'"
    assert f"copy {data_dir() / 'tokenizer'}" in str(caught.value.hint)
