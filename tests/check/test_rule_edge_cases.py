"""Where a rule must be silent, and where it must not: cases beyond the examples of its page."""

from pathlib import Path

import pytest
from rule_examples import findings_of

CONFIG = """
from dataclasses import dataclass
import haliax.nn as hnn
import haliax as hax
import jax
import jax.numpy as jnp
import jax.random as jrandom
import equinox as eqx
from haliax import Axis, NamedArray
from haliax.nn.scan import Stacked
from haliax.state_dict import ModuleWithStateDictSerialization
from levgen.runtime import AttentionMask, HfFields, LmConfig
"""

HEADER = '@LmConfig.register_subclass("example")\n@dataclass(frozen=True)\nclass ExampleConfig(LmConfig):\n'


def codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, name: str = "models/example.py") -> list[str]:
    return [one.code for one in findings_of(tmp_path, {name: source}, monkeypatch)]


def config(body: str) -> str:
    return CONFIG + HEADER + "".join(f"    {line}\n" for line in body.strip().splitlines())


READS = {
    "by a module": "def f(config: ExampleConfig):\n    return config.width\n",
    "by getattr": 'def f(config):\n    return getattr(config, "width")\n',
    "through a property that is used": (
        "class Sub(ExampleConfig):\n    Wide = property(lambda self: Axis('wide', self.width))\n"
        "def f(config: Sub):\n    return config.Wide\n"
    ),
    "by a subclass's method that is used": (
        "class Sub(ExampleConfig):\n    def twice(self):\n        return 2 * self.width\n"
        "def f(config: Sub):\n    return config.twice()\n"
    ),
}


@pytest.mark.parametrize("how", READS)
def test_field_is_read(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert codes(tmp_path, monkeypatch, config("width: int = 4") + READS[how]) == []


NOT_READ = {
    "mapped": 'width: int = 4\nhf_fields = HfFields("X", {"width": "width"})',
    "converted by hand": (
        "width: int = 4\n@classmethod\ndef from_hf_config(cls, hf):\n    return cls(width=hf.width)\n"
        "def to_hf_config(self, vocab_size, config_overrides=None):\n    return dict(width=self.width)"
    ),
    "in a property that nobody uses": "width: int = 4\nWide = property(lambda self: Axis('wide', self.width))",
    "validated": (
        "width: int = 4\ndepth: int = 4\ndef __post_init__(self):\n    if self.width % self.depth:\n"
        "        raise ValueError('width')\n@property\ndef model_type(self):\n    return self.depth"
    ),
}


@pytest.mark.parametrize("how", NOT_READ)
def test_field_is_not_read(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert codes(tmp_path, monkeypatch, config(NOT_READ[how])) == ["LEV101"]


def test_field_with_one_value_served_is_not_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "step: int = 1\ndef __post_init__(self):\n    if self.step != 1:\n        raise ValueError(self.step)"
    assert codes(tmp_path, monkeypatch, config(body)) == []


def test_field_read_by_the_file_that_reuses_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = "from models.example import ExampleConfig\ndef f(config: ExampleConfig):\n    return config.width\n"
    files = {"models/example.py": config("width: int = 4"), "models/other.py": other}
    assert findings_of(tmp_path, files, monkeypatch) == []


def test_field_read_by_a_module_of_another_folder_that_is_handed_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = config("width: int = 4") + "from layers.mlp import Mlp\ndef f(config):\n    return Mlp.init(config)\n"
    layer = "class Mlp:\n    @staticmethod\n    def init(config):\n        return config.width\n"
    assert findings_of(tmp_path, {"models/example.py": model, "layers/mlp.py": layer}, monkeypatch) == []


def test_a_sibling_config_does_not_read_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = HEADER.replace("example", "second").replace("Example", "Second") + "    width: int = 4\n"
    use = "class Layer(eqx.Module):\n    def init(config: SecondConfig):\n        config.width\n"
    source = config("width: int = 4") + second + use
    findings = findings_of(tmp_path, {"models/example.py": source}, monkeypatch)
    assert [one.message for one in findings] == ["nothing reads `ExampleConfig.width`"]


KEYS_RIGHT = {
    "branches": "def f(key, c):\n    if c:\n        return g(key)\n    return h(key)\n",
    "else": "def f(key, c):\n    if c:\n        x = g(key)\n    else:\n        x = h(key)\n    return x\n",
    "conditional expression": "def f(key, c):\n    return g(key) if c else h(key)\n",
    "rebound": "def f(key):\n    key, k = jax.random.split(key)\n    g(k)\n    key = jax.random.split(key)[0]\n",
    "folded in": "def f(key):\n    return [g(jax.random.fold_in(key, i)) for i in range(3)]\n",
    "keys by index": "def f(key):\n    ks = jax.random.split(key, 2)\n    return g(ks[0]), g(ks[1])\n",
    "a key a round": "def f(key):\n    for k in jax.random.split(key, 3):\n        g(k)\n",
    "split in the loop": "def f(key):\n    for i in range(3):\n        key, k = jax.random.split(key)\n        g(k)\n",
    "text": "def f(key, table):\n    a, b = 'x,y'.split(',')\n    return a, b, table[key], table[key]\n",
    "compared": "def f(key):\n    if key is None or isinstance(key, int):\n        return None\n    return g(key)\n",
}
KEYS_WRONG = {
    "twice": "def f(key):\n    return g(key), h(key)\n",
    "split and used": "def f(key):\n    k1, k2 = jax.random.split(key)\n    return g(k1), g(k2), h(key=key)\n",
    "one index twice": "def f(key):\n    ks = jax.random.split(key, 2)\n    return g(ks[0]), g(ks[0])\n",
    "in a loop": "def f(key):\n    for i in range(3):\n        g(key)\n",
    "in a comprehension": "def f(key):\n    return [g(key) for i in range(3)]\n",
    "after a branch": "def f(key, c):\n    if c:\n        g(key)\n    return h(key)\n",
}


@pytest.mark.parametrize("how", KEYS_RIGHT)
def test_keys_that_are_used_once(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert codes(tmp_path, monkeypatch, "import jax\n" + KEYS_RIGHT[how], "scripts/x.py") == []


@pytest.mark.parametrize("how", KEYS_WRONG)
def test_keys_that_are_used_twice(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert codes(tmp_path, monkeypatch, "import jax\n" + KEYS_WRONG[how], "scripts/x.py") == ["LEV201"]


MODULE = "class Block(ModuleWithStateDictSerialization):\n"
SILENT = {
    "named indexing": "    def __call__(self, x: NamedArray):\n        return x['position', 0], x['embed', 1:2]\n",
    "indexing a tuple": "    def __call__(self, xs: tuple):\n        return xs[0]\n",
    "asking for None": "    def __call__(self, x: NamedArray | None):\n        return 1 if x is None else x\n",
    "asking for axes": "    def __call__(self, x: NamedArray):\n        return x if x.ndim > 2 else -x\n",
    "mask by dtype": "    def __call__(self, x: NamedArray):\n        return hax.where(x, x, jnp.finfo(x.dtype).min)\n",
    "mask in fp32": (
        "    def __call__(self, x: NamedArray):\n        x = x.astype(jnp.float32)\n"
        "        return hax.where(x > 0, x, jnp.finfo(jnp.float32).min)\n"
    ),
    "softmax upcast": (
        "    def __call__(self, x: NamedArray):\n        x = x.astype(jnp.float32)\n        return hnn.softmax(x)\n"
    ),
    "narrowing assert": "    def __call__(self, x: NamedArray | None):\n        assert x is not None\n",
    "two by nature": "    @staticmethod\n    def init(key):\n        return Axis('gate_up', 2), key\n",
    "Conv1D": (
        "    @staticmethod\n    def init(E, M, *, key):\n"
        "        c_fc = hnn.Linear.init(E, M, key=key, use_bias=True, out_first=False)\n        return Block(c_fc)\n"
    ),
    "a config's number in numpy": "    def __call__(self, x: NamedArray):\n        return x * jnp.sqrt(self.scale)\n",
    "decoding unrolled": (
        "    layers: Stacked\n    def __call__(self, x):\n        return self.layers.fold(x)\n"
        "    def decode(self, x):\n        for layer in self.layers:\n            x = layer(x)\n        return x\n"
    ),
}


def test_a_constant_is_not_read_from_hf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        "width: int = 4\nqk_norm: bool = False\n"
        "@classmethod\ndef from_hf_config(cls, hf):\n    return cls(width=hf.width, qk_norm=True)\n"
        "def to_hf_config(self, vocab_size, config_overrides=None):\n    return dict(width=self.width)\n"
        "@property\ndef model_type(self):\n    return self.width, self.qk_norm"
    )
    assert codes(tmp_path, monkeypatch, config(body)) == []


@pytest.mark.parametrize("how", SILENT)
def test_module_that_is_right(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert codes(tmp_path, monkeypatch, CONFIG + MODULE + SILENT[how]) == []


def test_training_config_with_several_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "data:\n  tokenizer: t\n  components:\n    a: {source: {type: url, train_urls: [a.jsonl]}}\n"
        "model:\n  type: example\n  hidden_dim: 30\n  num_heads: 4\n  seq_len: 8\n"
        "trainer:\n  train_batch_size: 6\n  mesh: {axes: {data: 4}}\n  fsdp_axis: embed\n"
    )
    found = findings_of(tmp_path, {"config/a.yaml": source}, monkeypatch)
    assert [(one.code, one.line) for one in found] == [
        ("LEV506", 8),
        ("LEV504", 9),
        ("LEV510", 11),
        ("LEV504", 13),
    ]


def test_sizes_come_from_the_defaults_of_the_config_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = config(
        "num_heads: int = 6\nnum_kv_heads: int = 6\n"
        "@property\ndef model_type(self):\n    return self.num_heads, self.num_kv_heads"
    )
    yaml = (
        "model: {type: example, num_kv_heads: 4}\n"
        "data: {tokenizer: t, components: {a: {source: {type: url, train_urls: [a]}}}}\n"
    )
    files = {
        "pyproject.toml": "[tool.levgen]\n",
        "models/example.py": model,
        "tests/test_example.py": "def test_x():\n    assert 1 + 1 == 2\n",
        "config/a.yaml": yaml,
    }
    assert [one.code for one in findings_of(tmp_path, files, monkeypatch)] == ["LEV506"]


def test_other_yaml_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"ci.yaml": "model: x\njobs: []\n", "list.yaml": "- 1\n", "empty.yaml": "", "x.py": "X = 1\n"}
    assert findings_of(tmp_path, files, monkeypatch) == []


def test_aliases_that_expand_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["a0: &a0 {x: 1, y: 2}"]
    lines += [f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}, r: *a{n - 1}}}" for n in range(1, 40)]
    found = findings_of(tmp_path, {"config/a.yaml": "\n".join(lines)}, monkeypatch)
    assert [one.code for one in found] == ["LEV501"]


STUB = CONFIG + (
    "class ExampleMlp(ModuleWithStateDictSerialization):\n    wide: hnn.Linear\n\n"
    "    def __call__(self, x: NamedArray) -> NamedArray:\n"
    '        """`x`: {..., embed} -> the same axes."""\n'
)


def test_stub_uses_none_of_its_weights_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert codes(tmp_path, monkeypatch, STUB + '        raise NotImplementedError("to be written")\n') == []
    assert codes(tmp_path, monkeypatch, STUB + "        return x\n") == ["LEV211"]


@pytest.mark.parametrize(
    ("returned", "found"),
    [("x.array[:, 0]", ["LEV214"]), ("x.array.shape[0]", []), ("other.array[0]", []), ('x["position", 0].array', [])],
    ids=str,
)
def test_a_raw_array_is_indexed_by_counting(
    returned: str, found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = f"{CONFIG}\ndef pooled(x: NamedArray, other):\n    return {returned}\n"
    source += "class Pooler(ModuleWithStateDictSerialization):\n    pass\n"
    assert [code for code in codes(tmp_path, monkeypatch, source) if code == "LEV214"] == found
