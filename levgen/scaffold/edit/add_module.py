"""Adding a module to a model that may have been edited by hand: the class, its config fields and axes, and its test."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from levgen.architecture.schema import Architecture, Hyperparameter
from levgen.architecture.settings import apply_settings
from levgen.errors import LevgenError, did_you_mean
from levgen.project import Project
from levgen.scaffold.blank import blank
from levgen.scaffold.complete import complete
from levgen.scaffold.edit.bindings import Import
from levgen.scaffold.edit.config_class import ConfigClass
from levgen.scaffold.edit.kinds import Kind
from levgen.scaffold.edit.model_file import ModelEdit, ModelFile, NewClass
from levgen.scaffold.edit.record import Record, read_record
from levgen.scaffold.edit.snippets import Rendered, take_apart, with_classes
from levgen.scaffold.edit.source import PythonSource, SourceFile, read_source
from levgen.scaffold.edit.style import restyle
from levgen.scaffold.edit.tests_file import TINY, TestsFile, tiny_values, with_fields
from levgen.scaffold.files import PlannedFile
from levgen.scaffold.names import ModelName, model_name
from levgen.scaffold.parts import class_name
from levgen.scaffold.port import render_module, render_module_tests
from levgen.scaffold.view import PortView

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
    """The edited files, and what the user should know about them."""

    files: tuple[PlannedFile, ...]
    notes: tuple[str, ...]


def models_of(project: Project) -> list[str]:
    """The models of a project by name: the modules of its folder that speak of LmConfig."""
    folder = project.root / project.models
    return sorted(
        path.stem for path in folder.glob("*.py") if not path.name.startswith("_") and b"LmConfig" in path.read_bytes()
    )


def choose_model(project: Project, name: str | None) -> str:
    """The model called `name`, or the project's only one. Raises LevgenError with the models that there are."""
    known = models_of(project)
    if not known:
        hint = "write a model first: levgen new-model my_model"
        raise LevgenError(f"there is no model in {project.root / project.models}", hint)
    if name is None:
        if len(known) == 1:
            return known[0]
        raise LevgenError("which model is it added to?", "\n".join(f"--to {model}" for model in known))
    model = name.replace("-", "_")
    if model not in known:
        near = did_you_mean(model, known) or f"the models are {', '.join(known)}"
        raise LevgenError(f"there is no model {name!r} in {project.root / project.models}", near)
    return model


def add_module(project: Project, model: str, request: Request) -> Addition:
    """Plans the files that change. Reads, and writes nothing.

    Raises LevgenError where the module can't be added whole: the class is there already, the file can't be edited, an
    answer doesn't fit, or the new class needs what the model hasn't got.
    """
    kind = request.kind
    model_path, tests_path = f"{project.models}/{model}.py", f"{project.tests}/test_{model}.py"
    file = read_source(project.root / model_path, model_path)
    target = ModelFile(file.source, model, model_name(model).camel)
    name = _checked(request.name) or class_name(kind.part, target.prefix)
    target.check_free(kind.name, name)
    record = read_record(project.root / ".levgen" / f"{model}.yaml", f".levgen/{model}.yaml")
    before = blank(model_name(model)) if record is None else record.architecture
    architecture = _architecture(before, target, request)

    names = ModelName(model, target.prefix)
    own_embeddings = kind.part == "embeddings" or target.has(class_name("embeddings", target.prefix))
    rendered = take_apart(render_module(architecture, names, kind.part, embeddings_class=own_embeddings))
    reference = None if before.reference is None else before.reference.config
    edit = target.add(NewClass(kind.part, name, rendered), reference, force=request.force)
    model_file = _planned(project, model_path, file, edit.text)

    tests = _Tests(project, model, tests_path, target, architecture, own_embeddings)
    tests_file, test_notes = tests.edited(kind, name, edit)
    files = [tests_file, model_file]
    if edit.filled and record is not None:
        files.insert(0, _recorded(record, model, architecture, before, kind))
    return Addition(
        tuple(file for file in files if file.content != file.replaces), (*_notes(target, kind, name, edit), *test_notes)
    )


def _checked(name: str | None) -> str | None:
    if name is not None and not _CLASS_NAME.fullmatch(name):
        raise LevgenError(
            f"--name {name!a}: expected the name of a class", "letters and digits, as in LlamaLocalAttention"
        )
    return name


def _architecture(before: Architecture, target: ModelFile, request: Request) -> Architecture:
    """The answers that the new class is written from: those of the model, changed as `request` says."""
    settings = request.kind.settings(request.variant, request.settings)
    for setting in settings:
        hyperparameter = setting.partition("=")[0].partition(".")[0].strip()
        if hyperparameter in before.hyperparameters and target.config.has(hyperparameter):
            raise LevgenError(
                f"--set {setting}: {target.config.name} has {hyperparameter} already, with a default of its own",
                f"change the default in {target.source.shown}",
            )
    changed = apply_settings(before, settings)
    stubs = tuple(part for part in target.stubs if part != request.kind.part)
    return complete(_with_fields_of(target.config, changed).model_copy(update={"stubs": stubs}))


def _with_fields_of(config: ConfigClass, architecture: Architecture) -> Architecture:
    """`architecture` with the config's own fields that answers refer to, such as the width of a window."""
    found = {
        name: config.number(name) for _, name in architecture.factors() if name not in architecture.hyperparameters
    }
    own = {name: Hyperparameter(default=value) for name, value in found.items() if value is not None}
    return architecture.model_copy(update={"hyperparameters": {**architecture.hyperparameters, **own}})


def _planned(project: Project, path: str, file: SourceFile, edited: str) -> PlannedFile:
    styled = restyle(file.source.text, edited, project.root / path)
    PythonSource(styled, f"{path}, as edited")
    return PlannedFile(path, file.with_source(styled), replaces=file.text)


def _recorded(record: Record, model: str, architecture: Architecture, before: Architecture, kind: Kind) -> PlannedFile:
    """The record with the answers that the stub was filled from, and without the stub."""
    stubs = tuple(part for part in before.stubs if part != kind.part)
    hyperparameters = {**before.hyperparameters, **architecture.hyperparameters}
    changed = architecture.model_copy(update={"stubs": stubs, "hyperparameters": hyperparameters})
    return PlannedFile(f".levgen/{model}.yaml", record.with_architecture(changed), replaces=record.text)


class _Tests:
    """The test file of a model, there or not."""

    def __init__(
        self,
        project: Project,
        model: str,
        path: str,
        target: ModelFile,
        architecture: Architecture,
        own_embeddings: bool,
    ) -> None:
        self._project = project
        self._model = model
        self._path = path
        self._target = target
        self._architecture = architecture
        self._own_embeddings = own_embeddings
        self._there = (project.root / path).exists()
        new = SourceFile("", PythonSource(f'"""Tests of {project.models}/{model}.py."""\n', path))
        self._file = read_source(project.root / path, path) if self._there else new

    def edited(self, kind: Kind, name: str, edit: ModelEdit) -> tuple[PlannedFile, list[str]]:
        """The file with the test of the new class `name`, and notes."""
        tests = TestsFile(self._file.source)
        target, notes = self._target, []
        subject = _snake(name.removeprefix(target.prefix))
        if edit.filled:
            stubs = [class_name(part, target.prefix) for part in target.stubs]
            tests.drop_marks(name, stubs)
        present = tests.test_of(name)
        rendered = self._rendered(kind, name, subject, tests)
        imports = self._imports(rendered, name)
        if present is None:
            test = list(rendered.statements)[-1]
            if tests.has(test):
                hint = "rename it, or give the new class another name with --name"
                raise LevgenError(f"{self._path} has a {test} already, which doesn't test {name}", hint)
            tests.add_test(test, rendered, imports)
        fields = [member.name for member in edit.added if not member.is_axis]
        if fields and tests.has(TINY):
            values = tiny_values(rendered)
            if not tests.add_to_tiny({field: values[field] for field in fields}, imports):
                notes.append(
                    f"{TINY} of {self._path} is no call with keywords: {', '.join(fields)} have their defaults there"
                )
        text = tests.text()
        if self._there:
            return _planned(self._project, self._path, self._file, text), notes
        return PlannedFile(self._path, restyle("", text, self._project.root / self._path)), notes

    def _rendered(self, kind: Kind, name: str, subject: str, tests: TestsFile) -> Rendered:
        target = self._target
        names = ModelName(self._model, target.prefix)
        view = PortView(self._architecture, names, embeddings_class=self._own_embeddings)
        unpacked, arguments = tests.inputs(positions=view.positions_in_layers)
        is_standard = name == class_name(kind.part, target.prefix)
        text = render_module_tests(
            self._architecture.model_copy(update={"reference": None}),
            names,
            self._project,
            kind.part,
            embeddings_class=self._own_embeddings,
            class_name=name,
            subject=subject,
            unpacked=unpacked,
            arguments=arguments,
            fresh="_fresh(TINY)" if is_standard else f"jit({name}.init)(Vocab, TINY, key=jrandom.PRNGKey(2))",
        )
        rendered = take_apart(with_classes(text, {f"{target.prefix}Config": target.config.name}))
        return with_fields(rendered, target.config.name, target.config.has)

    def _imports(self, rendered: Rendered, name: str) -> dict[str, Import]:
        module = f"{self._project.models_package}.{self._model}"
        classes = (name, self._target.config.name)
        return {**rendered.imports, **{one: Import(one, module, one) for one in classes}}


def _snake(words: str) -> str:
    """`LMHeadModel` -> `lm_head_model`"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", words).lower()


def _notes(target: ModelFile, kind: Kind, name: str, edit: ModelEdit) -> list[str]:
    notes = [f"fills {name}" if edit.filled else f"adds {name}"]
    if edit.added:
        notes.append(f"adds to {target.config.name}: {', '.join(member.name for member in edit.added)}")
    return notes + ([] if edit.filled else [_wiring(target, kind, name)])


def _wiring(target: ModelFile, kind: Kind, name: str) -> str:
    """How the new class comes into use."""
    replaced = ["RmsNorm", "LayerNorm"] if kind.part == "norm" else [class_name(kind.part, target.prefix)]
    users = target.users(replaced)
    call = f"{name}.init(config)" if kind.part == "norm" else f"{name}.init(...)"
    if not users:
        return f"nothing uses {name} yet: make it a field of the module that is to call it, set to {call} in its init"
    return f"nothing uses {name} yet: make it the type of {' or '.join(users)}, and {call} its value in init"
