"""The fields of a config class that are its own."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from levgen.reference.find import Found
from levgen.reference.sizing.trial import weight_shapes
from levgen.reference.sizing.values import HEAD_DIM


def own_fields(found: Found) -> dict[str, Any]:
    """The config's fields with their defaults, but for those that every config of transformers has."""
    from levgen.runtime.hf_config.common import COMMON_FIELDS

    common = set(COMMON_FIELDS) - {"vocab_size"}
    config = found.config()
    fields: dict[str, Any] = config.to_dict()
    # A field that the class itself declares under another name than it writes.
    declared = getattr(found.config_class, "__dataclass_fields__", {})
    aliases = {held: name for name, held in getattr(found.config_class, "attribute_map", {}).items()}
    own = {name: aliases[name] for name in fields if name not in declared and aliases.get(name) in declared}
    named = {own.get(name, name): value for name, value in fields.items() if _is_own(name, common)}
    for name in list(named):
        # A config in the config that is no other model's: its fields are this one's.
        inside: Any = getattr(config, name, None)
        if hasattr(inside, "to_dict") and not getattr(inside, "model_type", ""):
            del named[name]
            entries = {key: value for key, value in inside.to_dict().items() if _is_own(key, set(COMMON_FIELDS))}
            named |= {path: item for key, value in entries.items() for path, item in _entries(f"{name}.{key}", value)}
    return named | dict.fromkeys(unnamed_fields(found))


def _entries(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A field, or where it is a mapping that names an activation, each of its entries."""
    from transformers.activations import ACT2FN

    names = [entry for entry in value.values() if isinstance(entry, str)] if isinstance(value, Mapping) else []
    if names and all(name in ACT2FN for name in names):
        yield from ((f"{path}.{key}", entry) for key, entry in value.items())
    else:
        yield path, value


def _is_own(name: str, common: Collection[str]) -> bool:
    return name not in common and not name.startswith("_") and name != "is_encoder_decoder"


def unnamed_fields(found: Found) -> tuple[str, ...]:
    """A width of a head that a class reads and doesn't name, where its own sizes don't divide: checkpoints state it."""
    config = found.config()
    width, heads = (getattr(config, name, None) for name in ("hidden_size", "num_attention_heads"))
    if not isinstance(width, int) or not isinstance(heads, int) or width % heads == 0 or hasattr(config, "head_dim"):
        return ()
    narrow, wide = (weight_shapes(found, {"num_hidden_layers": 1, "head_dim": dim}) for dim in (HEAD_DIM, 2 * HEAD_DIM))
    return () if narrow is None or narrow == wide else ("head_dim",)
