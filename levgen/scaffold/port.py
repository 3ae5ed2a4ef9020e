"""Rendering a port: the files of one model, from an architecture and a name."""

import functools
from typing import Any

import jinja2

from levgen.architecture.schema import Architecture
from levgen.project import Project
from levgen.resources import templates
from levgen.scaffold.files import PlannedFile
from levgen.scaffold.formatting import format_python
from levgen.scaffold.names import ModelName
from levgen.scaffold.parts import ORDER
from levgen.scaffold.record import render_record
from levgen.scaffold.view import PortView


@functools.cache
def environment() -> jinja2.Environment:
    """The templates of ports. An undefined name in a template is an error, never an empty string."""
    loader = jinja2.FileSystemLoader([templates() / "model", templates()])
    env = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    env.filters["python"] = _python
    env.filters["stub_class"] = _stub_class
    env.filters["zip"] = lambda left, right: zip(left, right, strict=True)
    return env


def _python(value: Any) -> str:
    """Python source of plain data."""
    return repr(value)


def render_model(architecture: Architecture, name: ModelName) -> str:
    """The model file: formatted, without an unused import."""
    return format_python(_render("model.py.jinja", architecture, name))


def render_tests(architecture: Architecture, name: ModelName, project: Project) -> str:
    """The test file of the model."""
    source = _render(
        "test.py.jinja", architecture, name, models=project.models.as_posix(), models_package=project.models_package
    )
    return format_python(source)


def port_files(architecture: Architecture, name: ModelName, project: Project) -> list[PlannedFile]:
    """The files of one model, the model file last: while it is missing the others don't count."""
    files = {
        f"{project.config}/{name.snake}.yaml": _render("full.yaml.jinja", architecture, name, config=project.config),
        f"{project.config}/{name.snake}_nano.yaml": _render("nano.yaml.jinja", architecture, name),
        f"{project.tests}/test_{name.snake}.py": render_tests(architecture, name, project),
        f"{project.models}/{name.snake}.py": render_model(architecture, name),
    }
    record = {f".levgen/{name.snake}.yaml": render_record(architecture, name, files)}
    return [PlannedFile(path, content) for path, content in (record | files).items()]


def _render(template: str, architecture: Architecture, name: ModelName, **more: Any) -> str:
    view = PortView(architecture, name)
    return environment().get_template(template).render(port=view, a=architecture, order=ORDER, **more)


def _stub_class(part: str, model: str) -> str:
    """`decoder_layer`, `MyModel` -> `MyModelDecoderLayer`"""
    return model + ("LMHeadModel" if part == "lm_head" else part.title().replace("_", ""))
