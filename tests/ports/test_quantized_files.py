"""Mixtures of experts load from checkpoints in 8 and in 4 bits with the values that these stand for, bit for bit.

The files are as DeepSeek-V3 and gpt-oss ship theirs. What they stand for is unpacked by transformers' own functions, or
by the definition where these refuse.
"""

import dataclasses
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from haliax import Axis
from test_cards import Rendered, render

from levgen.architecture.catalogue import get
from levgen.runtime import load_hf, save_hf
from levgen.runtime.parity import Ported
from levgen.runtime.reference import fresh_reference
from levgen.runtime.testing import randomize
from levgen.scaffold.complete import complete

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow
Vocab = Axis("vocab", 131)
BLOCK = 32  # divides few of the sizes below, and each tensor has several
Tensors = dict[str, Any]


def in_8_bits(tensors: Tensors) -> tuple[Tensors, Tensors]:
    """Matrices of layers but the routers' as float8 with scales; and what they stand for."""
    packed, stands_for = dict(tensors), dict(tensors)
    for name, values in tensors.items():
        if "proj" in name and values.ndim >= 2:
            rows, columns = (torch.arange(size) // BLOCK for size in values.shape[-2:])
            scales = 0.01 + 0.02 * torch.rand(*values.shape[:-2], int(rows[-1]) + 1, int(columns[-1]) + 1)
            packed[name] = (values * 50).to(torch.float8_e4m3fn)
            packed[f"{name}_scale_inv"] = scales
            stands_for[name] = packed[name].float() * scales[..., rows[:, None], columns]
    assert len(packed) > len(tensors) + 10
    return packed, stands_for


def in_4_bits(tensors: Tensors) -> tuple[Tensors, Tensors]:
    """Experts as random blocks and scales, and what they stand for."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    packed, stands_for = dict(tensors), dict(tensors)
    for name, values in tensors.items():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            experts, into, out = values.shape
            del packed[name]
            blocks = torch.randint(256, (experts, out, into // 32, 16), dtype=torch.uint8)
            scales = torch.randint(118, 128, (experts, out, into // 32), dtype=torch.uint8)
            packed |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
            stands_for[name] = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    assert len(packed) == len(tensors) + 2 * 3
    return packed, stands_for


@dataclasses.dataclass(frozen=True)
class Case:
    model_type: str
    pack: Callable[[Tensors], tuple[Tensors, Tensors]]
    how: dict[str, Any]
    changes: dict[str, int] = dataclasses.field(default_factory=dict)


FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3", "weight_block_size": [BLOCK, BLOCK]}
MXFP4 = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
CASES = {
    "fp8": Case("deepseek_v3", in_8_bits, FP8),
    "mxfp4": Case("gpt_oss", in_4_bits, MXFP4, {"hidden_dim": 64, "expert_dim": 96}),
}


def rendered_for(case: Case, folder: Path) -> tuple[Rendered, Any]:
    """The model of a case, and its config."""
    rendered = render(complete(get(case.model_type)), case.model_type, folder)
    return rendered, dataclasses.replace(rendered.tiny, **case.changes)


def write(reference: Any, case: Case, folder: Path, **saving: Any) -> None:
    """`folder`/packed, and `folder`/plain that has the same values unpacked, both of `reference`."""
    from safetensors.torch import load_file, save_file

    torch.manual_seed(0)
    reference.save_pretrained(folder / "plain", **saving)
    packed, stands_for = case.pack(load_file(folder / "plain" / "model.safetensors"))
    save_file(stands_for, folder / "plain" / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "plain" / "config.json").read_text()) | {"quantization_config": case.how}
    (folder / "packed").mkdir()
    (folder / "packed" / "config.json").write_text(json.dumps(config))
    # In several files, and no scales beside their matrices.
    files = {f"model-0000{number}-of-00003.safetensors": sorted(packed)[number - 1 :: 3] for number in (1, 2, 3)}
    for file, names in files.items():
        save_file({name: packed[name] for name in names}, folder / "packed" / file, {"format": "pt"})
    index = {"weight_map": {name: file for file, names in files.items() for name in names}}
    (folder / "packed" / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("in_files", [True, False], ids=["names of files", "names of memory"])
@pytest.mark.parametrize("name", CASES)
def test_it_loads_with_the_values_that_it_stands_for(name: str, in_files: bool, tmp_path: Path) -> None:
    case = CASES[name]
    rendered, config = rendered_for(case, tmp_path)
    reference = randomize(fresh_reference(config, Vocab))
    write(reference, case, tmp_path, save_original_format=in_files)
    packed, plain = (load_hf(rendered.model_class, tmp_path / each) for each in ("packed", "plain"))
    for ours, expected in zip(*map(jax.tree.leaves, (packed, plain)), strict=True):
        np.testing.assert_array_equal(ours, expected)

    save_hf(packed, tmp_path / "saved")
    assert "quantization_config" not in json.loads((tmp_path / "saved" / "config.json").read_text())
    unpacked = type(reference).from_pretrained(tmp_path / "plain", dtype=torch.float32)
    assert Ported.differing_tensors(unpacked, tmp_path / "saved") == []


ON_EIGHT = """
import json, sys
from pathlib import Path

import jax
import numpy as np
from levgen.importing import import_file
from levgen.runtime import load_hf

assert jax.device_count() == 8
mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
mappings = [{"embed": "data", "expert": "model", "mlp": "model"}, {"expert_mlp": "data", "embed": "model"}]
for name, path, model, folder in json.loads(sys.argv[1]):
    module = import_file(Path(path), name)
    whole = load_hf(getattr(module, model), folder)
    for mapping in mappings:
        with jax.set_mesh(mesh):
            spread = load_hf(getattr(module, model), folder, axis_mapping=mapping)
        assert any(not leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(spread))
        for ours, expected in zip(jax.tree.leaves(spread), jax.tree.leaves(whole), strict=True):
            assert np.array_equal(ours, expected)
"""


def test_on_eight_devices(tmp_path: Path) -> None:
    models = []
    for name, case in CASES.items():
        (tmp_path / name).mkdir()
        rendered, config = rendered_for(case, tmp_path / name)
        write(randomize(fresh_reference(config, Vocab)), case, tmp_path / name)
        model = rendered.model_class
        models.append([name, str(rendered.module.__file__), model.__name__, str(tmp_path / name / "packed")])
    _run(ON_EIGHT, json.dumps(models), XLA_FLAGS="--xla_force_host_platform_device_count=8", JAX_PLATFORMS="cpu")


PEAK = """
import json, sys
from pathlib import Path

import jax
import transformers.models.auto.modeling_auto
from benchmarks.peak_memory import added_peak
from levgen.importing import import_file
from levgen.runtime import load_hf

path, name, small, large = json.loads(sys.argv[1])
module = import_file(Path(path), "model")
load_hf(getattr(module, name), small, dtype="bfloat16")
loaded = []
peak = added_peak(lambda: loaded.append(load_hf(getattr(module, name), large, dtype="bfloat16")))
print(sum(leaf.nbytes for leaf in jax.tree.leaves(loaded)), peak)
"""
LARGER = {
    "fp8": {"hidden_dim": 512, "intermediate_dim": 1024, "expert_dim": 512, "num_experts": 24, "num_layers": 4},
    "mxfp4": {"hidden_dim": 512, "expert_dim": 512, "num_experts": 24},
}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets the peak of a process start anew")
@pytest.mark.parametrize("name", CASES)
def test_memory_peaks_near_the_size_of_the_weights(name: str, tmp_path: Path) -> None:
    """In a process of its own, whose memory is known before."""
    case = CASES[name]
    rendered, config = rendered_for(case, tmp_path)
    folders = []
    for size, changes in (("small", {}), ("large", LARGER[name])):
        write(fresh_reference(dataclasses.replace(config, **changes), Vocab), case, tmp_path / size)
        folders.append(str(tmp_path / size / "packed"))
    out = _run(PEAK, json.dumps([str(rendered.module.__file__), rendered.model_class.__name__, *folders]))
    loaded, peak = map(int, out.split()[-2:])
    assert loaded > 100e6
    assert 0.9 * loaded < peak < 1.1 * loaded + 40e6, (loaded, peak)


def _run(script: str, argument: str, **environment: str) -> str:
    command = [sys.executable, "-c", textwrap.dedent(script), argument]
    without = {name: value for name, value in os.environ.items() if name != "JAX_NUM_CPU_DEVICES"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**without, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout
