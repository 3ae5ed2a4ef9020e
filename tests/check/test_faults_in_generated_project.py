"""A project that levgen writes is clean, and each fault put into it is found by its rule and by no other."""

from pathlib import Path

import pytest

from levgen.check.runner import check_paths
from levgen.cli.app import run

MODEL, TEST, YAML = "models/llama.py", "tests/test_llama.py", "config/llama_nano.yaml"

# File, what stands there, what is put in its place, the codes that must be found.
FAULTS = {
    "field that nothing reads": (
        MODEL,
        "    norm_eps: float",
        "    dead: int = 1\n    norm_eps: float",
        "LEV101 LEV402",
    ),
    "mutable default": (MODEL, '*, key: PRNGKeyArray) -> "LlamaMlp"', '*, key, x=[]) -> "LlamaMlp"', "LEV102"),
    "fixed axis": (MODEL, 'Axis("embed", self.hidden_dim)', 'Axis("embed", 4096)', "LEV101 LEV103"),
    "axes of one name": (MODEL, 'Axis("mlp", self.inter', 'Axis("embed", self.inter', "LEV104"),
    "config not frozen": (MODEL, "@dataclass(frozen=True)", "@dataclass", "LEV105"),
    "field without a type": (MODEL, "    norm_eps: float = ", "    dead = 1\n    norm_eps: float = ", "LEV106"),
    "key used twice": (MODEL, "key=k_head, std", "key=k_embed, std", "LEV201 LEV202"),
    "key split too often": (
        MODEL,
        "k_attention, k_mlp = jrandom.split(key)",
        "k_attention, k_mlp = jrandom.split(key, 3)",
        "LEV203",
    ),
    "constant key": (MODEL, "key=k_mlp)", "key=jrandom.PRNGKey(0))", "LEV202 LEV204"),
    "layer that loads nothing": (
        MODEL,
        "class LlamaDecoderLayer(ModuleWithStateDictSerialization)",
        "class LlamaDecoderLayer(eqx.Module)",
        "LEV207",
    ),
    "fixed eps": (
        MODEL,
        "input_layernorm=RmsNorm.init(config.Embed, eps=config.norm_eps)",
        "input_layernorm=RmsNorm.init(config.Embed, eps=1e-5)",
        "LEV208",
    ),
    "mask constant": (
        MODEL,
        "        return self.o_proj(attended)",
        "        return self.o_proj(attended - 1e9)",
        "LEV209",
    ),
    "norm that is not called": (MODEL, "self.mlp(self.post_attention_layernorm(h))", "self.mlp(h)", "LEV211"),
    "one axis on both sides": (
        MODEL,
        "Linear.init(config.Mlp, config.Embed,",
        "Linear.init(config.Mlp, config.Mlp,",
        "LEV213",
    ),
    "positional index": (MODEL, "return self.o_proj(attended)", "return self.o_proj(x[:, 0])", "LEV214"),
    "raw arrays": (MODEL, "h = x + self", "h = x.array + self", "LEV215"),
    "branch on values": (
        MODEL,
        "        return self.o_proj(attended)",
        "        return self.o_proj(attended) if x > 0 else x",
        "LEV217",
    ),
    "config as a leaf": (
        MODEL,
        "    config: LlamaConfig = eqx.field(static=True)\n\n    @staticmethod",
        "    config: LlamaConfig\n\n    @staticmethod",
        "LEV218",
    ),
    "field missing from the table": (MODEL, '            "hidden_dim": "hidden_size",\n', "", "LEV402"),
    "unknown field in the table": (
        MODEL,
        '"hidden_dim": "hidden_size"',
        '"hidden_dim": "hidden_size", "hiden": "x"',
        "LEV403",
    ),
    "class named": (MODEL, "        return cls(\n", "        return LlamaLMHeadModel(\n", "LEV404"),
    "one HF name twice": (MODEL, '"activation": "hidden_act"', '"activation": "hidden_size"', "LEV407"),
    "ignored without a reason": (MODEL, '"levgen trains without dropout"', '""', "LEV408"),
    "unknown field in the key map": (
        MODEL,
        '"embeddings": "model.embed_tokens"',
        '"embedding": "model.embed_tokens"',
        "LEV409",
    ),
    "transformers at the top": (
        MODEL,
        "import equinox as eqx\n",
        "import equinox as eqx\nimport transformers\n",
        "LEV410",
    ),
    "module without a test": (
        MODEL,
        "class LlamaMlp(",
        "class LlamaGate(eqx.Module):\n    pass\n\n\nclass LlamaMlp(",
        "LEV301",
    ),
    "test that asserts nothing": (
        TEST,
        "def test_mlp_forward()",
        "def test_x() -> None:\n    _fresh(TINY)\n\n\ndef test_mlp_forward()",
        "LEV302",
    ),
    "loose tolerance": (TEST, '1e-5, "scanned layers"', '1e-2, "scanned layers"', "LEV303"),
    "unknown field": (YAML, "  hidden_dim:", "  hiden_dim:", "LEV502"),
    "unknown key": (YAML, "  num_train_steps:", "  num_train_stepz:", "LEV503"),
    "old key": (YAML, "  max_seq_len:", "  seq_len:", "LEV504"),
    "wrong value": (YAML, "  num_train_steps: ", "  num_train_steps: -", "LEV505"),
    "heads": (YAML, "  num_kv_heads: ", "  num_kv_heads: 3 #", "LEV506"),
    "no tokenizer": (YAML, "  tokenizer: data/tokenizer\n", "", "LEV507"),
    "repeated key": (YAML, "  seed: 0\n", "  seed: 0\n  seed: 1\n", "LEV508"),
    "unregistered type": (YAML, "  type: llama\n", "  type: lama\n", "LEV509"),
    "broken YAML": (YAML, "model:\n", "model: {\n", "LEV501"),
    "broken Python": (MODEL, "class LlamaMlp(", "class LlamaMlp((", "LEV001"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    assert run(["new-model", "llama", "--dest", str(folder), "--defaults"]) == 0
    return folder


def test_generated_project_is_clean(project: Path) -> None:
    assert [str(finding) for finding in check_paths([project])] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_seeded_fault_is_found(fault: str, project: Path) -> None:
    name, before, after, codes = FAULTS[fault]
    path = project / name
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    try:
        found = {finding.code for finding in check_paths([project])}
    finally:
        path.write_text(text, encoding="utf-8")
    assert found == set(codes.split())
