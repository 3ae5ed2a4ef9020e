"""Every text is either a name that Python can use everywhere, or is refused with the reason."""

import ast
import keyword
import string
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from levgen.errors import LevgenError
from levgen.scaffold.names import MAX_LENGTH, ModelName, model_name


@pytest.mark.parametrize(
    ("text", "snake", "camel"),
    [
        ("llama", "llama", "Llama"),
        ("my_llama", "my_llama", "MyLlama"),
        ("my-llama", "my_llama", "MyLlama"),
        ("gpt2", "gpt2", "Gpt2"),
        ("qwen2_5", "qwen2_5", "Qwen25"),
        ("x" * MAX_LENGTH, "x" * MAX_LENGTH, "X" + "x" * (MAX_LENGTH - 1)),
    ],
)
def test_forms(text, snake, camel):
    assert model_name(text) == ModelName(snake, camel)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("a" * 300, "at most 64 characters, got 300"),
        ("class", "keyword"),
        ("match", "keyword"),
        ("none", "keyword"),
        ("json", "standard library"),
        ("numpy", "a package that levgen uses"),
        ("conftest", "part of the project"),
        ("con", "Windows"),
        ("../x", "a path"),
        ("/etc/passwd", "a path"),
        ("C:\\x", "a path"),
        (".hidden", "a path"),
        ("My_Llama", "lower case"),
        ("2llama", "begins with a letter"),
        ("_llama", "underscores only between words"),
        ("__init__", "underscores only between words"),
        ("my__llama", "underscores only between words"),
        ("my llama", "U+0020 SPACE"),
        ("x'y", "U+0027 APOSTROPHE"),
        ('x"y', "U+0022 QUOTATION MARK"),
        ("x{{y}}", "U+007B LEFT CURLY BRACKET"),
        ("x\n", "U+000A"),
        ("ll\u0430ma", "U+0430 CYRILLIC SMALL LETTER A"),
        ("\uff4clama", "U+FF4C FULLWIDTH LATIN SMALL LETTER L"),
        ("x\ud800", "U+D800"),
    ],
)
def test_refused_with_the_reason(text, said):
    with pytest.raises(LevgenError) as caught:
        model_name(text)
    assert said in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("text", ["MyLlama", "My-Llama", "MY_LLAMA"])
def test_the_hint_is_accepted(text):
    with pytest.raises(LevgenError) as caught:
        model_name(text)
    hinted = caught.value.hint.split("`")[1]
    assert model_name(hinted).snake == "my_llama"


NEAR_NAMES = st.text(alphabet=string.ascii_letters + string.digits + "_-./ {}'\"", max_size=70)
WORDS = st.sampled_from(sorted({*keyword.kwlist, *keyword.softkwlist, *sys.stdlib_module_names, "jax", "tests"}))


@given(st.one_of(st.text(), NEAR_NAMES, WORDS))
@example("ǆ")  # upper() of it is another letter than title() of it
def test_any_text_is_a_usable_name_or_refused(text):
    try:
        name = model_name(text)
    except LevgenError:
        return
    assert name.snake.isidentifier()
    assert name.camel.isidentifier()
    assert name.snake.isascii()
    ast.parse(f"from models.{name.snake} import {name.camel}Config\nclass {name.camel}: ...\n{name.snake} = 1")
    assert name.snake not in sys.stdlib_module_names
    assert model_name(name.snake) == name


@given(st.text(alphabet="abAB1_-", min_size=1, max_size=6), st.text(alphabet="abAB1_-", min_size=1, max_size=6))
def test_names_that_differ_never_share_a_file(first, second):
    try:
        one, other = model_name(first), model_name(second)
    except LevgenError:
        return
    assert (one.snake == other.snake) == (one.snake.casefold() == other.snake.casefold())
