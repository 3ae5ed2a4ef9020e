"""The config class: found whatever it is called, and given fields, axes and table entries in its own style."""

import textwrap

import pytest

from levgen.errors import LevgenError
from levgen.scaffold.edit.bindings import bindings
from levgen.scaffold.edit.config_class import ConfigClass, Member
from levgen.scaffold.edit.find_config import find_config
from levgen.scaffold.edit.source import PythonSource

MEMBERS = {
    "hidden_dim": Member("hidden_dim", "hidden_dim: int = 64\n", False),
    "width": Member("width", "width: int = 80\n", False),
    "Embed": Member("Embed", 'Embed = property(lambda self: Axis("embed", self.hidden_dim))\n', True),
    "Mlp": Member("Mlp", 'Mlp = property(lambda self: Axis("mlp", self.width))\n', True),
}


def config(text, model="llama", prefix="Llama"):
    source = PythonSource(textwrap.dedent(text), "models/llama.py")
    return find_config(source, bindings(source), model, prefix)


HEAD = "from levgen.runtime import LmConfig\n"


@pytest.mark.parametrize(
    "text",
    [
        HEAD
        + "@LmConfig.register_subclass('llama')\n@dataclass(frozen=True)\nclass Sizes(LmConfig):\n    a: int = 1\n",
        HEAD + "class Sizes(LmConfig):\n    a: int = 1\n",
        "from levgen.runtime import LmConfig as Base\nclass Sizes(Base):\n    a: int = 1\n",
        "from levgen import runtime\nclass Sizes(runtime.LmConfig):\n    a: int = 1\n",
        "import levgen.runtime\nclass Sizes(levgen.runtime.LmConfig):\n    a: int = 1\n",
        "from levgen.runtime.config import LmConfig\nclass Sizes(LmConfig):\n    a: int = 1\n",
        "from levgen.runtime import *\nclass Sizes(LmConfig):\n    a: int = 1\n",
        HEAD
        + "class Common(LmConfig):\n    a: int = 1\n"
        + "@LmConfig.register_subclass('llama')\nclass Sizes(Common):\n    b: int = 1\n",
        HEAD + "@LmConfig.register_subclass('llama-vision')\nclass Other(LmConfig):\n    b: int = 1\n"
        "@LmConfig.register_subclass('llama')\nclass Sizes(LmConfig):\n    a: int = 1\n",
    ],
)
def test_it_is_found(text):
    found = config(text)
    assert found.name == "Sizes"
    assert found.has("a")
    assert found.has("max_seq_len")
    assert not found.has("c")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class A: ...\n", "has no config class"),
        (
            HEAD + "class A(LmConfig):\n    a: int = 1\nclass B(LmConfig):\n    a: int = 1\n",
            "several config classes: A, B",
        ),
        (
            HEAD + "from x import Base\nclass A(LmConfig, Base):\n    a: int = 1\n",
            "A is a subclass of Base, whose fields",
        ),
        (HEAD + "class A(LmConfig): a: int = 1\n", "the body of A is on the line of its name"),
    ],
)
def test_one_that_cannot_be_added_to_is_refused(text, said):
    with pytest.raises(LevgenError, match=said):
        config(text)


def test_what_is_missing_is_told_by_name_with_what_it_reads_in_turn():
    found = config(HEAD + "class A(LmConfig):\n    hidden_dim: int = 1\n")
    assert [member.name for member in found.lacks(["Mlp", "Embed", "Pos"], MEMBERS)] == ["width", "Embed", "Mlp"]
    with pytest.raises(LevgenError, match="A has no window, which the new code reads"):
        found.lacks(["window"], MEMBERS)


def edited(text, *names, **table):
    """`text` with the members `names` added."""
    found = config(text)
    members = [MEMBERS[name] for name in names]
    styled = [one.as_method() if found.axes_are_methods else one for one in members]
    fields = [one.name for one in members if not one.is_property]
    entries = found.new_entries(fields, table.get("known", {}), table.get("reference"))
    return found.source.spliced([*found.add(styled), *found.add_entries(entries)]).removeprefix(HEAD)


def test_fields_come_after_the_last_field_and_axes_after_the_last_axis():
    text = """\
class A(LmConfig):
    '''Mine.'''
    b: int = 2  # why
    # between
    a: int = 1; c: int = 3   # both
    known: ClassVar[int] = 3

    Pos = property(lambda self: Axis("position", self.a))  # here

    def method(self): ...
"""
    assert edited(HEAD + text, "width", "Mlp") == text.replace("# both\n", "# both\n    width: int = 80\n").replace(
        "# here\n", '# here\n    Mlp = property(lambda self: Axis("mlp", self.width))\n'
    )


def test_axes_are_written_as_methods_where_they_are():
    text = """\
class A(LmConfig):
    a: int = 1

    @property
    def Pos(self):
        # the length
        return Axis("position", self.a)

    @property
    def model_type(self):
        return Model
"""
    new = '\n    @property\n    def Mlp(self) -> Axis:\n        return Axis("mlp", self.width)\n'
    assert edited(HEAD + text, "Mlp") == text.replace("self.a)\n", f"self.a)\n{new}")


@pytest.mark.parametrize("body", ["    '''Doc.'''\n", "    x = 1\n"])
def test_a_class_without_fields_and_axes(body):
    namespace = {}
    text = edited(f"{HEAD}class A(LmConfig):\n{body}", "width", "Mlp")
    exec(f"class LmConfig: ...\ndef Axis(name, size): return name, size\n{text}", namespace)
    made = namespace["A"]()
    assert (made.width, made.Mlp) == (80, ("mlp", 80))


TABLE = """\
class A(LmConfig):
    a: int = 1
    hf_fields = HfFields(
        {},
        {{
            'a': 'a',
        }},
    )
"""


def test_a_table_without_a_reference_gets_the_fields_own_names():
    assert "            'a': 'a',\n            \"width\": \"width\",\n        }" in edited(
        HEAD + TABLE.format("None"), "width"
    )


def test_a_table_with_a_reference_gets_what_the_reference_has():
    text, known = HEAD + TABLE.format("'LlamaConfig'"), {"width": '"width": "intermediate_size"'}
    assert known["width"] in edited(text, "width", known=known, reference="LlamaConfig")
    assert "'a': 'a',\n        }" in edited(text, "width", known={}, reference="LlamaConfig")
    assert "'a': 'a',\n        }" in edited(text, "width", known=known, reference="OtherConfig")


def test_tables_that_are_not_written_out_are_refused():
    field = "class A(LmConfig):\n    a: int = 1\n    hf_fields = "
    for table, said in (
        ("HfFields(None, TABLE)", "no dict written out"),
        ("TABLE", r"expected hf_fields of A to be an HfFields"),
    ):
        with pytest.raises(LevgenError, match=said):
            edited(f"{HEAD}{field}{table}\n", "width")
    assert "width: int" in edited(f"{HEAD}class A(LmConfig):\n    a: int = 1\n", "width")


def test_a_property_of_several_lines_stands_by_itself():
    source = PythonSource(
        f"class A(LmConfig):\n    a: int = 1\n\n{METHOD}\n    @property\n    def model_type(self): ...\n", "m.py"
    )
    members = ConfigClass(source, source.module.body[0]).members()
    assert list(members) == ["a", "listed"]
    found = config(f"{HEAD}class B(LmConfig):\n    b: int = 1\n\n    Pos = property(lambda self: Axis('p', 1))\n")
    assert found.source.spliced(found.add(found.lacks(["listed"], members))).endswith(f"Axis('p', 1))\n\n{METHOD}")


METHOD = """\
    @property
    def listed(self):
        \"\"\"{layer} bool.\"\"\"
        return by_layer(self.Pos)
"""


def test_numbers_and_required_fields():
    found = config(HEAD + "class A(LmConfig):\n    r: int\n    a: int = 3\n    b: bool = True\n    c: int = f()\n")
    assert [found.number(name) for name in "rabcz"] == [None, 3, True, None, None]
    assert found.required == {"r"}
