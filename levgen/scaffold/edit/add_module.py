"""Adding a module to a model that may have been edited by hand: the class, its config fields and axes, and its test."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError, did_you_mean
from levgen.project import Project
from levgen.scaffold.blank import blank
from levgen.scaffold.edit.answers import answers_after_filling, module_answers
from levgen.scaffold.edit.kinds import Kind
from levgen.scaffold.edit.model_file import ModelEdit, ModelFile, NewClass
from levgen.scaffold.edit.model_tests import ModelTests, config_reads_of_test
from levgen.scaffold.edit.record import read_record
from levgen.scaffold.edit.snippets import take_apart
from levgen.scaffold.edit.source import PythonSource, read_source
from levgen.scaffold.edit.style import restyle
from levgen.scaffold.files import PlannedFile
from levgen.scaffold.names import ModelName, model_name
from levgen.scaffold.parts import class_name
from levgen.scaffold.port import ancestor_file, render_module
from levgen.scaffold.views.port import PortView

_CLASS_NAME = re.compile(r"[A-Z][A-Za-z0-9]{0,99}")


@dataclass(frozen=True)
class Request:
    """What is to be added."""

    kind: Kind
    name: str | None = None  # of the class; by default the model's name and the kind's
    variant: str | None = None
    settings: Sequence[str] = ()
    force: bool = False  # fill a stub although a person's lines in it go


@dataclass(frozen=True)
class Addition:
    """The edited files, the model file last, and what the user should know about them."""

    files: tuple[PlannedFile, ...]
    notes: tuple[str, ...]


def models_of(project: Project) -> list[str]:
    """The models of a project by name: the modules of its folder that speak of LmConfig."""
    modules = (path for path in (project.root / project.models).glob("*.py") if not path.name.startswith("_"))
    return sorted(path.stem for path in modules if b"LmConfig" in path.read_bytes())


def choose_model(project: Project, name: str | None) -> str:
    """The model called `name`, or the project's only one. Raises LevgenError with the models that there are."""
    known = models_of(project)
    folder = project.root / project.models
    if not known:
        raise LevgenError(f"there is no model in {folder}", "write one first: levgen new-model my_model")
    if name is None:
        if len(known) == 1:
            return known[0]
        raise LevgenError("which model is it?", f"the models are {', '.join(known)}")
    model = name.replace("-", "_")
    if model not in known:
        near = did_you_mean(model, known) or f"the models are {', '.join(known)}"
        raise LevgenError(f"there is no model {name!r} in {folder}", near)
    return model


def add_module(project: Project, model: str, request: Request) -> Addition:
    """Plans the files that change. Reads, and writes nothing.

    Raises LevgenError where the module can't be added whole: the class is there already, a file can't be edited, an
    answer doesn't fit, or the new class needs what the model hasn't got.
    """
    kind = request.kind
    shown = f"{project.models}/{model}.py"
    file = read_source(project.root / shown, shown)
    target = ModelFile(file.source, model, model_name(model).camel)
    name = _checked(request.name) or kind.class_name(target.prefix, target.stubs)
    target.check_free(kind.name, name)
    names = ModelName(model, target.prefix)

    record_path = f".levgen/{model}.yaml"
    record = read_record(project.root / record_path, record_path)
    before = blank(names) if record is None else record.architecture
    answers = module_answers(before, target, kind, kind.settings(request.variant, request.settings))
    own_embeddings = kind.part == "embeddings" or target.has(class_name("embeddings", target.prefix))

    tests = ModelTests(project, model, target, kind, name)
    rendered_tests = tests.render(answers, embeddings_class=own_embeddings)
    rendered = take_apart(render_module(answers, names, kind.part, embeddings_class=own_embeddings))
    new = NewClass(kind.part, name, rendered, config_reads_of_test(rendered_tests))
    reference = None if before.reference is None else before.reference.config
    edit = target.add(new, reference, force=request.force)
    tests_file, notes = tests.edited(rendered_tests, edit.fields, filled=edit.filled)

    text = _with_summary(edit.text, target, answers, names) if edit.filled else edit.text
    styled = restyle(file.source.text, text, project.root / shown)
    PythonSource(styled, f"{shown}, as edited")  # refuses what is no longer Python
    files = [tests_file, PlannedFile(shown, file.with_source(styled), replaces=file.text)]
    if edit.filled and record is not None:
        after = answers_after_filling(before, answers, kind)
        recorded = PlannedFile(record_path, record.with_architecture(after), replaces=record.text)
        files = [recorded, ancestor_file(after, names, project), *files]
    changed = tuple(one for one in files if one.content != one.replaces)
    return Addition(changed, (*_notes(target, kind, name, edit), *notes))


def _checked(name: str | None) -> str | None:
    if name is not None and not _CLASS_NAME.fullmatch(name):
        hint = "letters and digits, the first a capital: LlamaLocalAttention"
        raise LevgenError(f"--name {name[:40]!a}: expected the name of a class", hint)
    return name


def _with_summary(text: str, target: ModelFile, answers: Architecture, names: ModelName) -> str:
    """`text` with what its docstring says of a model of stubs put right, once the last stub is filled."""
    if answers.stubs:
        return text
    before = PortView(answers.changed(stubs=target.stubs), names).summary
    return text.replace(f": {before}.", f": {PortView(answers, names).summary}.", 1)


def _notes(target: ModelFile, kind: Kind, name: str, edit: ModelEdit) -> list[str]:
    notes = [f"fills {name}" if edit.filled else f"adds {name}"]
    if edit.added:
        notes.append(f"adds to {target.config.name}: {', '.join(member.name for member in edit.added)}")
    return notes + ([] if edit.filled else [_wiring(target, kind, name)])


def _wiring(target: ModelFile, kind: Kind, name: str) -> str:
    """How the new class comes into use."""
    is_norm = kind.part == "norm"
    users = target.users(["RmsNorm", "LayerNorm"] if is_norm else [class_name(kind.part, target.prefix)])
    call = f"{name}.init(config)" if is_norm else f"{name}.init(...)"
    if not users:
        return f"nothing uses {name} yet: make it a field of the module that is to call it, set to {call} in its init"
    return f"nothing uses {name} yet: make it the type of {' or '.join(users)}, and {call} its value in init"
