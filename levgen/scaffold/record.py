"""The record of a port, `.levgen/<name>.yaml`: what it was written from, and how far it is proven."""

import hashlib

import yaml

from levgen import __version__
from levgen.architecture.card import as_data
from levgen.architecture.schema import Architecture
from levgen.scaffold.names import ModelName


def render_record(architecture: Architecture, name: ModelName, files: dict[str, str]) -> str:
    """The record's text. It holds no time and no path of a machine, so that it is the same from run to run."""
    data = {
        "model": name.snake,
        "levgen": __version__,
        "status": "scaffolded",
        "files": {path: f"sha256:{hashlib.sha256(content.encode()).hexdigest()}" for path, content in files.items()},
        "architecture": as_data(architecture),
    }
    header = f"# How {name.snake} was generated. levgen reads and writes this file: leave it to levgen.\n"
    return header + yaml.dump(data, sort_keys=False, width=140, default_flow_style=False, allow_unicode=True)
