"""The generated tests fail when the model is wrong: each fault, seeded into a generated file, is caught."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Fault:
    """A change to a generated model file that a person could have made by mistake."""

    model: str
    what: str
    right: str
    wrong: str
    tests: str = "equal"  # the tests that are run: a fault must be caught by these


FAULTS = [
    Fault(
        "llama", "theta is not the config's", "self.config.HeadSize, self.config.rope", "self.config.HeadSize, Rotary()"
    ),
    Fault(
        "llama",
        "rope layout",
        "rope(self.k_proj(x), pos_ids, HeadSize)",
        'rope(self.k_proj(x), pos_ids, HeadSize, layout="interleaved")',
    ),
    Fault("llama", "keys not rotated", "k = rope(self.k_proj(x), pos_ids, HeadSize)", "k = self.k_proj(x)"),
    Fault(
        "llama",
        "eps is not the config's",
        "input_layernorm=RmsNorm.init(config.Embed, eps=config.norm_eps)",
        "input_layernorm=RmsNorm.init(config.Embed, eps=1e-6)",
    ),
    Fault(
        "llama",
        "gate and up swapped",
        "self.act(self.gate_proj(x)) * self.up_proj(x)",
        "self.act(self.up_proj(x)) * self.gate_proj(x)",
    ),
    Fault("llama", "scale", "HeadSize.size**-0.5", "(HeadSize.size + 1) ** -0.5"),
    Fault(
        "llama",
        "norm offset",
        "input_layernorm=RmsNorm.init(config.Embed, eps=config.norm_eps)",
        "input_layernorm=RmsNorm.init(config.Embed, eps=config.norm_eps, offset=1.0)",
    ),
    Fault(
        "llama",
        "mask off by one",
        "AttentionMask.of(attn_mask)",
        "AttentionMask.causal(offset=1)",
        "equal or causal",
    ),
    Fault(
        "llama",
        "a norm in the wrong place",
        "self.mlp(self.post_attention_layernorm(h))",
        "self.mlp(self.post_attention_layernorm(x))",
    ),
    Fault("llama", "a dropped residual", "return h + self.mlp", "return x + self.mlp"),
    Fault(
        "llama",
        "bias of the config ignored",
        "key=k_q, std=std, use_bias=config.attention_bias",
        "key=k_q, std=std, use_bias=False",
    ),
    Fault("llama", "activation is not the config's", "activation(config.activation)", 'activation("silu")'),
    Fault("llama", "standard deviation", "std = config.initializer_range", "std = 0.02", "fresh_weights"),
    Fault(
        "gpt2",
        "a dropped bias",
        "return self.c_proj(self.act(self.c_fc(x)))",
        "return self.c_proj(self.act(self.c_fc(x) - self.c_fc.bias))",
    ),
    Fault(
        "gpt2",
        "queries and keys swapped",
        'q, k, v = self.c_attn(x).unbind("qkv")',
        'k, q, v = self.c_attn(x).unbind("qkv")',
    ),
    Fault("gpt2", "positions off by one", "self.wpe(pos_ids)", "self.wpe(pos_ids + 1)"),
    Fault(
        "gpt2",
        "residual scale of fresh weights",
        "std / (2 * config.num_layers) ** 0.5",
        "std / config.num_layers**0.5",
        "fresh_weights",
    ),
    Fault(
        "gpt2",
        "norm without its bias",
        "return h + self.mlp(self.ln_2(h))",
        "return h + self.mlp(self.ln_2(h) - self.ln_2.bias)",
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.model}: {fault.what}")
def test_fault_is_caught(project: Path, tmp_path: Path, fault: Fault) -> None:
    copy = tmp_path / "demo"
    shutil.copytree(project, copy)
    model = copy / "models" / f"{fault.model}.py"
    source = model.read_text()
    assert fault.right in source
    model.write_text(source.replace(fault.right, fault.wrong).replace("import (\n", "import (\n    Rotary,\n", 1))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        f"tests/test_{fault.model}.py",
        "-k",
        fault.tests,
    ]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    # Caught by what it computes, not by a file that can't be imported.
    assert "1 failed" in done.stdout or "1 error" in done.stdout
    assert "Error collecting" not in done.stdout
