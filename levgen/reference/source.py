"""What the installed transformers says of its models, read from its source: importing it takes seconds, and torch."""

import ast
import functools
import importlib.util
from pathlib import Path

# The table in transformers' own source: (model type, class of its causal language model).
_TABLE_FILE = "models/auto/modeling_auto.py"
_TABLE = "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"


@functools.cache
def causal_types() -> tuple[str, ...]:
    """The model types for which the installed transformers has a causal language model; empty where it has no such
    table, or isn't installed."""
    tree = _parsed(_TABLE_FILE)
    for node in tree.body if tree is not None else ():
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[table])) if name == _TABLE:
                return tuple(str(pair[0]) for pair in ast.literal_eval(table))
    return ()


def causal_type(name: str) -> str | None:
    """The causal model type that `name` stands for, hyphens and underscores being one; None where there is none."""
    return next((known for known in causal_types() if known.replace("-", "_") == name.replace("-", "_")), None)


def in_transformers(name: str) -> bool:
    """Whether transformers has models of that name, causal or not."""
    root = _root()
    return root is not None and name.isidentifier() and (root / "models" / name).is_dir()


def default_vocab_size(modeling_module: str, config_class: str) -> int | None:
    """The size of the vocabulary in a fresh `config_class`, which lies beside `modeling_module`; None if not stated."""
    relative = modeling_module.removeprefix("transformers.").replace(".modeling_", ".configuration_")
    tree = _parsed(relative.replace(".", "/") + ".py")
    for node in tree.body if tree is not None else ():
        if not isinstance(node, ast.ClassDef) or node.name != config_class:
            continue
        for line in node.body:
            match line:
                case ast.AnnAssign(target=ast.Name(id="vocab_size"), value=ast.Constant(value=int(size))):
                    return size
    return None


def _root() -> Path | None:
    spec = importlib.util.find_spec("transformers")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(folders[0]) if folders else None


def _parsed(relative: str) -> ast.Module | None:
    root = _root()
    if root is None or not (root / relative).is_file():
        return None
    return ast.parse((root / relative).read_text(encoding="utf-8"))
