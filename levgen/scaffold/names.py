"""The names of models: what a user may call one, and the file and class names that follow."""

import keyword
import re
import sys
import unicodedata
from dataclasses import dataclass

from levgen.errors import LevgenError

MAX_LENGTH = 64

# Third-party modules that generated files, their tests and their training import.
_THIRD_PARTY = frozenset(
    """copier draccus equinox haliax hypothesis jax jaxlib jaxtyping jinja2 levanter levgen libcst numpy optax orbax
    pydantic pytest rich ruff safetensors scipy tokenizers torch transformers typer yaml""".split()  # noqa: SIM905
)
# Files and folders of the project around a model.
_PROJECT = frozenset(["checkpoints", "config", "conftest", "data", "models", "setup", "test", "tests"])
# Files that Windows can't have, whatever their extension.
_DEVICES = frozenset(
    ["aux", "con", "nul", "prn", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))]
)

_EXAMPLE = "a name is lower-case ASCII letters, digits and single underscores or hyphens, as in `my_llama` or `gpt2`"


@dataclass(frozen=True)
class ModelName:
    """The two forms of a model's name."""

    snake: str  # the module, the registered name and the configs: `my_llama`
    camel: str  # what its classes' names begin with: `MyLlama`


def model_name(text: str) -> ModelName:
    """The name that `text` stands for; hyphens become underscores.

    Names are lower case only, so that two of them never differ by case alone: on a file system that ignores case they
    would be one file. Raises LevgenError saying what is wrong with any other text.
    """
    shown = _shown(text)
    if not text:
        raise LevgenError("a model needs a name, got an empty one", _EXAMPLE)
    if len(text) > MAX_LENGTH:
        raise LevgenError(f"a model's name has at most {MAX_LENGTH} characters, got {len(text)}: {shown}")
    if re.search(r"[/\\]", text) or text.startswith("."):
        raise LevgenError(f"expected a model's name, got a path: {shown}", "`--dest` says where it is written")
    _refuse_characters(text)
    snake = text.replace("-", "_")
    if snake != snake.lower():
        raise LevgenError(f"a model's name is lower case, got {shown}", f"call it `{_lower_snake(snake)}`")
    if snake[0] == "_" or snake[-1] == "_" or "__" in snake:
        raise LevgenError(f"a model's name has underscores only between words, got {shown}", _EXAMPLE)
    if snake[0].isdigit():
        raise LevgenError(f"a model's name begins with a letter, got {shown}", _EXAMPLE)
    name = ModelName(snake, "".join(word[0].upper() + word[1:] for word in snake.split("_")))
    _refuse_taken(name)
    return name


def _refuse_characters(text: str) -> None:
    for index, char in enumerate(text, start=1):
        if char.isascii() and (char.isalnum() or char in "_-"):
            continue
        code = f"U+{ord(char):04X}"
        what = f"{char!a} ({code} {unicodedata.name(char, 'unnamed')})"
        plain = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
        looks = f", which is not the ASCII {plain!r}" if plain and not char.isascii() else ""
        raise LevgenError(f"a model's name can't have {what} at character {index}{looks}", _EXAMPLE)


def _refuse_taken(name: ModelName) -> None:
    snake = name.snake
    if keyword.iskeyword(snake) or keyword.iskeyword(name.camel) or keyword.issoftkeyword(snake):
        raise LevgenError(f"{snake!r} is a keyword of Python", f"call it `{snake}_lm`, or another name")
    if snake in sys.stdlib_module_names or snake in _THIRD_PARTY:
        owner = "Python's standard library" if snake in sys.stdlib_module_names else "a package that levgen uses"
        raise LevgenError(f"{snake!r} would shadow the module {snake} of {owner}", f"call it `{snake}_lm`")
    if snake in _PROJECT:
        raise LevgenError(f"{snake!r} is the name of a part of the project itself", f"call it `{snake}_lm`")
    if snake in _DEVICES:
        raise LevgenError(f"{snake!r} can't be a file's name on Windows", f"call it `{snake}_lm`")


def _lower_snake(text: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"_+", "_", words).strip("_").lower()


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 40 else f"{text[:30]}...")
