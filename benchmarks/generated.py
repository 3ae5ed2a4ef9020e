"""The models under test: what `levgen new-model` writes, rendered now and imported."""

import functools
import sys
from types import ModuleType

from levgen.architecture.catalogue import get
from levgen.project import Project
from levgen.scaffold.complete import complete
from levgen.scaffold.files import PlannedFile
from levgen.scaffold.names import model_name
from levgen.scaffold.port import port_files


def generated_files(name: str, like: str, project: Project) -> list[PlannedFile]:
    """The files of a model `name` with the architecture of the type `like`."""
    return port_files(complete(get(like)), model_name(name), project)


@functools.cache
def generated_model(model_type: str, project: Project) -> ModuleType:
    """The module of the model of that type: nothing is written for it."""
    path = f"{project.models}/{model_type}.py"
    [source] = [file.content for file in generated_files(model_type, model_type, project) if file.path == path]
    module = ModuleType(f"benchmarks.generated_{model_type}")
    sys.modules[module.__name__] = module  # where dataclasses and type hints look a class's module up
    exec(compile(source, path, "exec"), vars(module))
    return module
