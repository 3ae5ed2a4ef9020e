"""Compiled templates, kept from one run to the next: compiling them is half of what writing a model costs."""

import marshal
import os
import sys
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket

_VERSION = f"{jinja2.__version__} {sys.version}".encode()


class CompiledTemplates(jinja2.BytecodeCache):
    """Python code of templates in the user's cache folder, each under the digest of the text that it was compiled from.

    As jinja2's own cache of files, without its pickled header. A cache that can't be read or written is none.
    """

    def load_bytecode(self, bucket: Bucket) -> None:
        """Takes the code of a template where it is that of this text, this Python and this jinja2."""
        header = self._header(bucket)
        try:
            data = _place(bucket).read_bytes()
            if data.startswith(header):
                bucket.code = marshal.loads(data[len(header) :])
        except (OSError, ValueError, EOFError, TypeError):
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keeps the code of a template, in one step: another process never reads half of it."""
        place = _place(bucket)
        partial = place.with_suffix(f".{os.getpid()}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(self._header(bucket) + marshal.dumps(bucket.code))
            partial.replace(place)
        except OSError:
            return

    @staticmethod
    def _header(bucket: Bucket) -> bytes:
        return _VERSION + bucket.checksum.encode() + b"\n"


def _place(bucket: Bucket) -> Path:
    """`~/.cache/levgen/templates/<key>`; the key holds the path of the template."""
    caches = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(caches) if os.path.isabs(caches) else Path(os.path.expanduser("~"), ".cache")
    return root / "levgen" / "templates" / f"{bucket.key}.code"
