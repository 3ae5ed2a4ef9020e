"""The cache of compiled templates: another text, Python or jinja is compiled anew, and so is what can't be read."""

from pathlib import Path

import jinja2
import pytest

from levgen.scaffold import compiled_templates
from levgen.scaffold.compiled_templates import CompiledTemplates


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "levgen" / "templates"


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "a.jinja").write_text("{{ x + 1 }} {% include 'b.jinja' %}", encoding="utf-8")
    (folder / "b.jinja").write_text("b", encoding="utf-8")
    return folder


def _render(templates: Path) -> tuple[str, int]:
    """What the template gives, and how many templates were compiled for it."""
    compiled: list[str] = []

    class Counting(jinja2.Environment):
        def compile(self, source, name=None, filename=None, raw=False, defer_init=False):
            compiled.append(str(name))
            return super().compile(source, name, filename, raw, defer_init)

    env = Counting(loader=jinja2.FileSystemLoader(templates), bytecode_cache=CompiledTemplates())
    return env.get_template("a.jinja").render(x=1), len(compiled)


def test_the_second_run_compiles_nothing(templates: Path) -> None:
    assert _render(templates) == ("2 b", 2)
    assert _render(templates) == ("2 b", 0)


def test_another_text_is_compiled(templates: Path) -> None:
    _render(templates)
    (templates / "b.jinja").write_text("c", encoding="utf-8")
    assert _render(templates) == ("2 c", 1)


def test_another_python_or_jinja_compiles_anew(templates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _render(templates)
    monkeypatch.setattr(compiled_templates, "_VERSION", b"another")
    assert _render(templates) == ("2 b", 2)


@pytest.mark.parametrize("keep", [0, 10, -3])
def test_half_a_file_is_compiled_anew(templates: Path, cache: Path, keep: int) -> None:
    _render(templates)
    for file in cache.iterdir():
        file.write_bytes(file.read_bytes()[:keep])
    assert _render(templates) == ("2 b", 2)
    assert _render(templates) == ("2 b", 0)


def test_a_folder_that_cannot_be_made_has_none(templates: Path, cache: Path) -> None:
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file where the folder would be", encoding="utf-8")
    assert _render(templates) == ("2 b", 2)
    assert _render(templates) == ("2 b", 2)
