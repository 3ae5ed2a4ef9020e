"""What counts as a stub, and what filling one would lose."""

import pytest

from levgen.scaffold.edit.source import PythonSource
from levgen.scaffold.edit.stubs import is_stub, losses

STUB = '''\
class MlpStub(Module):
    """The channel block. To be written."""

    config: Config = eqx.field(static=True)

    @staticmethod
    def init(config: Config, *, key: PRNGKeyArray) -> "Mlp":
        raise NotImplementedError("Mlp.init is to be written")

    def __call__(self, x: NamedArray) -> NamedArray:
        """A docstring."""
        raise NotImplementedError
'''
NEW = '''\
class MlpStub(Module):
    """Gated."""

    up: Linear  # Embed -> Mlp

    @staticmethod
    def init(config, *, key):
        return 1

    def __call__(self, x):
        return x
'''


def node(text):
    return PythonSource(text, "m.py").module.body[0]


def test_a_stub():
    assert is_stub(node(STUB))


@pytest.mark.parametrize(
    "text",
    [
        NEW,
        "class A: ...\n",
        "x = 1\n",
        STUB.replace("raise NotImplementedError\n", "return x\n"),
        STUB.replace("raise NotImplementedError\n", "y = x\n        raise NotImplementedError\n"),
        STUB.replace("raise NotImplementedError\n", "raise ValueError\n"),
    ],
)
def test_what_a_person_has_begun_is_no_stub(text):
    assert not is_stub(node(text))


def lost(stub):
    source = PythonSource(stub, "m.py")
    return losses(source, source.module.body[0], NEW)


def test_a_stub_as_generated_loses_nothing():
    assert lost(STUB) == []
    assert lost(STUB.replace("    config: Config", "    up: Linear  # Embed -> Mlp\n    config: Config")) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("(Module)", "(Module, Mine)", "its bases Module, Mine"),
        ("class Mlp", "@mine\nclass Mlp", "the decorator @mine"),
        ("The channel block. To be written.", "My plan.", "its docstring"),
        ("    @static", "    mine: int\n\n    @static", "the field mine"),
        ("    @static", "    size = 3\n\n    @static", "the line size = 3"),
        ("    @static", "    # soon\n    @static", "the comment # soon"),
        (
            "(self, x: NamedArray)",
            "(self, x: NamedArray, *, key=None)",
            "the signature __call__(self, x, *, key), now (self, x)",
        ),
        (
            "    def __call__",
            "    def extra(self):\n        raise NotImplementedError\n\n    def __call__",
            "the method extra",
        ),
    ],
)
def test_what_a_person_added_is_named(old, new, said):
    assert lost(STUB.replace(old, new, 1)) == [said]
