"""Rendering a port: the files of one model, from an architecture and a name."""

import functools
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError
from levgen.project import Project
from levgen.resources import templates
from levgen.scaffold.compiled_templates import CompiledTemplates
from levgen.scaffold.files import PlannedFile
from levgen.scaffold.formatting import Formatting, format_python
from levgen.scaffold.names import ModelName
from levgen.scaffold.parts import class_name, classes_of
from levgen.scaffold.record import read_record_data, render_record
from levgen.scaffold.rendered import render_rendered, rendered_path
from levgen.scaffold.views.port import PortView

if TYPE_CHECKING:
    from levgen.survey.report import Survey


@functools.cache
def environment() -> jinja2.Environment:
    """The templates of ports. An undefined name in a template is an error, never an empty string."""
    loader = jinja2.FileSystemLoader([templates() / "model", templates()])
    env = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=CompiledTemplates(),
    )
    env.filters["python"] = _python
    env.filters["stub_class"] = class_name
    env.filters["pieces"] = _pieces
    env.filters["zip"] = lambda left, right: zip(left, right, strict=True)
    return env


def _python(value: Any) -> str:
    """Python source of plain data."""
    return repr(value)


def _pieces(text: str, width: int) -> list[str]:
    """`text` in strings that fit lines of `width`, to be written one after the other."""
    return textwrap.wrap(text, width, drop_whitespace=False) or [""]


def render_model(architecture: Architecture, name: ModelName) -> str:
    """The model file: formatted, without an unused import."""
    return _format_model(PortView(architecture, name)).result


def render_tests(architecture: Architecture, name: ModelName, project: Project) -> str:
    """The test file of the model."""
    return _format_tests(PortView(architecture, name), project).result


def render_module(architecture: Architecture, name: ModelName, part: str, *, embeddings_class: bool) -> str:
    """A file with the config and the class of one part, with the imports that these two need."""
    view = PortView(architecture, name, embeddings_class=embeddings_class)
    return format_python(_render("model.py.jinja", view, order=(part,)))


def render_module_tests(
    architecture: Architecture, name: ModelName, project: Project, part: str, *, embeddings_class: bool, **test: Any
) -> str:
    """The model's test file with one more test at its end: that of `part`, from its template's variables `test`."""
    view = PortView(architecture, name, embeddings_class=embeddings_class)
    source = _render_tests(view, project) + "\n\n" + _render(f"parts/{part}/test.py.jinja", view, **test)
    return format_python(source, first_party=project.models_package.partition(".")[0])


def port_files(
    architecture: Architecture, name: ModelName, project: Project, *, survey: "Survey | None" = None
) -> list[PlannedFile]:
    """The files of one model, the model file last: while it is missing the others don't count.

    survey: what found the architecture out, if a card didn't say it: the record keeps its evidence.
    """
    files = _rendered(architecture, name, project)
    path = f".levgen/{name.snake}.yaml"
    before = _readable(project.root / path)
    return [
        PlannedFile(path, render_record(architecture, name, files, survey=survey, before=before)),
        PlannedFile(rendered_path(name.snake), render_rendered(files), shown=False),
        *(PlannedFile(path, content) for path, content in files.items()),
    ]


def ancestor_file(architecture: Architecture, name: ModelName, project: Project) -> PlannedFile:
    """The common ancestor of later merges (`levgen.scaffold.rendered`) of a model that `architecture` describes now."""
    path = project.root / rendered_path(name.snake)
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    content = render_rendered(_rendered(architecture, name, project))
    return PlannedFile(rendered_path(name.snake), content, replaces=before, shown=False)


def is_kept_for_levgen(path: str) -> bool:
    """Whether a file of `port_files` is one that levgen reads itself and nobody edits."""
    return path.startswith(".levgen/")


def _rendered(architecture: Architecture, name: ModelName, project: Project) -> dict[str, str]:
    """{path: content} of the files that a person owns."""
    view = PortView(architecture, name)
    tests, model = _format_tests(view, project), _format_model(view)
    return {
        f"{project.config}/{name.snake}.yaml": _render("full.yaml.jinja", view, config=project.config),
        f"{project.config}/{name.snake}_nano.yaml": _render("nano.yaml.jinja", view),
        f"{project.tests}/test_{name.snake}.py": tests.result,
        f"{project.models}/{name.snake}.py": model.result,
    }


def _format_model(view: PortView) -> Formatting:
    return Formatting(_render("model.py.jinja", view))


def _format_tests(view: PortView, project: Project) -> Formatting:
    return Formatting(_render_tests(view, project), first_party=project.models_package.partition(".")[0])


def _readable(path: Path) -> dict[str, Any]:
    """The record at `path`; empty for a broken one, which the plan then shows as a file that differs."""
    try:
        return read_record_data(path)
    except LevgenError:
        return {}


def _render_tests(view: PortView, project: Project) -> str:
    return _render("test.py.jinja", view, models=project.models.as_posix(), models_package=project.models_package)


def _render(template: str, view: PortView, *, order: Sequence[str] | None = None, **more: Any) -> str:
    order = classes_of(view.architecture) if order is None else order
    return environment().get_template(template).render(port=view, a=view.architecture, order=order, **more)
