"""The unit test of a new class: rendered for the model at hand, and put into its test file."""

import re
from collections.abc import Sequence

from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError
from levgen.project import Project
from levgen.scaffold.edit.bindings import Import
from levgen.scaffold.edit.kinds import Kind
from levgen.scaffold.edit.model_file import ModelFile
from levgen.scaffold.edit.snippets import Rendered, reads_of, take_apart, with_classes
from levgen.scaffold.edit.source import PythonSource, SourceFile, read_source
from levgen.scaffold.edit.style import restyle
from levgen.scaffold.edit.tests_file import TINY, TestsFile, tiny_values, with_fields
from levgen.scaffold.files import PlannedFile
from levgen.scaffold.names import ModelName
from levgen.scaffold.parts import class_name
from levgen.scaffold.port import render_module_tests
from levgen.scaffold.views.port import PortView


class ModelTests:
    """The test file of a model, there or not yet, for the new class `name` of the kind `kind`."""

    def __init__(self, project: Project, model: str, target: ModelFile, kind: Kind, name: str) -> None:
        self._project = project
        self._model = model
        self._target = target
        self._kind = kind
        self._name = name
        self._shown = f"{project.tests}/test_{model}.py"
        self._path = project.root / self._shown
        empty = PythonSource(f'"""Tests of {project.models}/{model}.py."""\n', self._shown)
        self._file = read_source(self._path, self._shown) if self._path.exists() else SourceFile("", empty)
        self._tests = TestsFile(self._file.source)

    def render(self, answers: Architecture, *, embeddings_class: bool) -> Rendered:
        """The test file that levgen would write for `answers`, the test of the new class at its end.

        Raises LevgenError where the helpers of the file are not such as that test can use.
        """
        names = ModelName(self._model, self._target.prefix)
        view = PortView(answers, names, embeddings_class=embeddings_class)
        unpacked, arguments = self._tests.inputs(positions=view.positions_in_layers)
        name = self._name
        is_standard = name == class_name(self._kind.part, self._target.prefix)
        text = render_module_tests(
            answers.changed(reference=None),
            names,
            self._project,
            self._kind.part,
            embeddings_class=embeddings_class,
            class_name=name,
            subject=_snake(name.removeprefix(self._target.prefix)),
            unpacked=unpacked,
            arguments=arguments,
            of_layer=view.of_layers(TINY, "1"),
            at=self._tests.length() * 5 // 8,
            fresh="_fresh(TINY)" if is_standard else f"jit({name}.init)(Vocab, TINY, key=jrandom.PRNGKey(2))",
        )
        return take_apart(with_classes(text, {f"{self._target.prefix}Config": self._target.config.name}))

    def edited(self, rendered: Rendered, added: Sequence[str], *, filled: bool) -> tuple[PlannedFile, list[str]]:
        """The file with the test of the new class and small values for the fields `added` to the config, and notes.

        Raises LevgenError where the test can't be added.
        """
        tests, notes = self._tests, []
        module = f"{self._project.models_package}.{self._model}"
        imports = rendered.imports | {one: Import(one, module, one) for one in (self._name, self._target.config.name)}
        if filled:
            tests.drop_marks(self._name, [class_name(part, self._target.prefix) for part in self._target.stubs])
        if tests.test_of(self._name) is None:
            self._add_test(rendered, imports, added)
        if added and tests.has(TINY):
            values = tiny_values(rendered)
            if not tests.add_to_tiny({field: values[field] for field in added}, imports):
                fields = ", ".join(added)
                notes.append(f"{TINY} of {self._shown} is no call with keywords: it has the defaults of {fields}")
        text = tests.text()
        styled = restyle(self._file.source.text if self._path.exists() else "", text, self._path)
        replaces = self._file.text if self._path.exists() else None
        return PlannedFile(self._shown, self._file.with_source(styled), replaces), notes

    def _add_test(self, rendered: Rendered, imports: dict[str, Import], added: Sequence[str]) -> None:
        tests, config = self._tests, self._target.config
        test = rendered.last_function
        if tests.has(test):
            hint = "rename it, or give the new class another name with --name"
            raise LevgenError(f"{self._shown} has a {test} already, which doesn't test {self._name}", hint)
        unknown = config.required - tiny_values(rendered).keys()
        if unknown and not tests.has(TINY):
            hint = f"add {TINY} = {config.name}(...) to it first"
            raise LevgenError(
                f"{self._shown} has no {TINY}, and levgen knows no small {', '.join(sorted(unknown))}", hint
            )
        tests.add_test(
            test, with_fields(rendered, config.name, lambda name: name in added or config.has(name)), imports
        )


def config_reads_of_test(rendered: Rendered) -> list[str]:
    """What the test at the end of `rendered` reads of the small config, by name."""
    return reads_of(rendered.statements[rendered.last_function], TINY)


def _snake(words: str) -> str:
    """`LMHeadModel` -> `lm_head_model`"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", words).lower()
