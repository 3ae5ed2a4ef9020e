"""Reading YAML as plain data."""

from typing import Any

import yaml

# The C loader is ten times faster; both are the safe kind, which builds plain data only.
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: str) -> Any:
    """The data in `text`. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)
