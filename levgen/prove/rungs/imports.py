"""imports: the file runs, registers its config, and needs neither torch nor transformers."""

import ast
import inspect

from levgen.prove.bench import Bench
from levgen.prove.outcome import Outcome, failed, passed

FOREIGN = ("torch", "transformers")


def imports(bench: Bench) -> Outcome:
    """The subject was imported to make the bench: what is left to see is what it imported, and its registration."""
    subject = bench.subject
    found = sorted(set(FOREIGN) & _imported(subject.source))
    if found:
        return failed(f"the model file imports {', '.join(found)}: it could not train without")
    from levgen.runtime import LmConfig

    names = [name for name, made in LmConfig.get_known_choices().items() if made is subject.config_class]
    if not names:
        return failed(f"{subject.config_class.__name__} is not registered: no YAML can name it")
    classes = [
        value
        for value in vars(subject.module).values()
        if inspect.isclass(value) and value.__module__ == subject.files.module_name
    ]
    return passed(f"{len(classes)} classes, registered as {names[0]}")


def _imported(source: str) -> set[str]:
    """The packages that a file imports, also inside of functions."""
    packages = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            packages.add(node.module.partition(".")[0])
    return packages
