"""Loading and saving a checkpoint of 445 MB: time and peak of memory, against the disk, transformers and Levanter."""

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jrandom
import numpy as np

from benchmarks.fresh_process import call
from benchmarks.peak_memory import added_peak, available
from benchmarks.sizes import QUICK, Size, model_class
from benchmarks.table import Amounts, Comparison, Ratio, Row
from benchmarks.timing import Runner, interleaved
from levgen.runtime import load_hf, save_hf
from levgen.runtime.checkpoints.folder import read_config
from levgen.runtime.checkpoints.names import model_arrays
from levgen.runtime.checkpoints.shards import PIECE, aligned

FULL = Size(hidden=768, layers=12, heads=12, kv_heads=12, mlp=2048, vocab=17000, length=1024)
OURS, LEVANTER, HF = "levgen", "Levanter's own", "transformers (torch), copied"
READ, WRITE = "read the file", "write the file"
FLOOR = "copy its bytes, two threads"
LEVANTER_AIM, MEMORY_AIM = 1 / 0.12, 1.1
DEVICES = 8
MAPPING = {"embed": "data"}

# Case -> model, its folder, the dtype asked for when loading, the number of devices. GPT-2 has its matrices [in, out].
MemoryCase = tuple[str, str, str | None, int]
MEMORY_CASES: dict[str, MemoryCase] = {
    "Llama, one file": ("llama", "llama", None, 1),
    "Llama, 5 files": ("llama", "llama-5", None, 1),
    "Llama, bfloat16 to float32": ("llama", "llama-bf16", "float32", 1),
    "GPT-2": ("gpt2", "gpt2", None, 1),
    f"Llama, over {DEVICES} devices": ("llama", "llama", None, DEVICES),
    f"Llama, bfloat16 to float32, over {DEVICES} devices": ("llama", "llama-bf16", "float32", DEVICES),
    f"GPT-2, over {DEVICES} devices": ("gpt2", "gpt2", None, DEVICES),
}


def run(*, quick: bool) -> list[Comparison | Amounts]:
    """Times of loading and saving, and their peaks of memory."""
    size, rounds = (QUICK, 1) if quick else (FULL, 5)
    with tempfile.TemporaryDirectory(prefix="levgen-benchmark-") as scratch:
        folder = Path(scratch)
        megabytes = _write(size, folder)
        tables: list[Comparison | Amounts] = [
            _load(folder, megabytes, rounds),
            _save(folder, size, megabytes, rounds),
        ]
        if available():
            cases = dict(islice(MEMORY_CASES.items(), 1)) if quick else MEMORY_CASES
            tables += [_memory("Load", load_peak, folder, cases), _memory("Save", save_peak, folder, cases)]
        return tables


def _write(size: Size, folder: Path) -> float:
    """Writes the folders of all cases, and gives the size of the Llama's in MB."""
    for config, name in ((size.gpt2(), "gpt2"), (size.llama(), "llama")):
        model = eqx.filter_jit(config.build)(size.Vocab, key=jrandom.PRNGKey(0))
        save_hf(model, folder / name)
    nbytes: int = sum(array.nbytes for array in model_arrays(model))
    save_hf(model, folder / "llama-5", max_shard_size=nbytes // 4)
    save_hf(model, folder / "llama-bf16", dtype="bfloat16")
    return nbytes / 1e6


def _load(folder: Path, megabytes: float, rounds: int) -> Comparison:
    """One file, in the page cache."""
    file = folder / "llama" / "model.safetensors"
    runners = {
        OURS: Runner(lambda: jax.block_until_ready(_loaded("llama", folder / "llama"))),
        f"{OURS}, 5 files": Runner(lambda: jax.block_until_ready(_loaded("llama", folder / "llama-5"))),
        f"{OURS}, bfloat16 to float32": Runner(
            lambda: jax.block_until_ready(_loaded("llama", folder / "llama-bf16", "float32"))
        ),
        READ: Runner(file.read_bytes),
        FLOOR: Runner(lambda: _copied(file)),
    }
    ratios = [Ratio(case, FLOOR) for case in runners if case != FLOOR]
    notes = []
    if importlib.util.find_spec("torch") is None:
        notes.append("No torch here: transformers' row is left out.")
    else:
        from benchmarks.torch_models import load_copied

        runners[HF] = Runner(lambda: load_copied(folder / "llama"))
        ratios.append(Ratio(HF, OURS))
    if importlib.util.find_spec("levanter") is None:
        notes.append("No levanter here: its row is left out.")
    else:
        from benchmarks.levanter_llama import load

        runners[LEVANTER] = Runner(lambda: jax.block_until_ready(load(folder / "llama")))
        ratios.append(Ratio(LEVANTER, OURS, LEVANTER_AIM, at_least=True))
    return Comparison(f"Load a Llama of {megabytes:.0f} MB", interleaved("Load", runners, rounds), ratios, notes)


def _save(folder: Path, size: Size, megabytes: float, rounds: int) -> Comparison:
    """One file, synchronised with the disk, as our saving always is; what others left to write is written before."""
    model = _loaded("llama", folder / "llama")
    content = (folder / "llama" / "model.safetensors").read_bytes()
    runners = {
        OURS: Runner(lambda: save_hf(model, folder / "saved"), os.sync),
        f"{OURS}, as bfloat16": Runner(lambda: save_hf(model, folder / "saved", dtype="bfloat16"), os.sync),
        WRITE: Runner(lambda: _write_bytes(folder / "raw", content), os.sync),
    }
    ratios = [Ratio(case, WRITE) for case in runners if case != WRITE]
    notes = []
    if importlib.util.find_spec("levanter") is None:
        notes.append("No levanter here: its row is left out.")
    else:
        from benchmarks.levanter_llama import load, save

        theirs = load(folder / "llama")
        runners[LEVANTER] = Runner(lambda: save(theirs, folder / "theirs", folder / "llama"), os.sync)
        ratios.append(Ratio(LEVANTER, OURS))
    return Comparison(f"Save a Llama of {megabytes:.0f} MB", interleaved("Save", runners, rounds), ratios, notes)


def _memory(title: str, peak: Callable[..., Any], folder: Path, cases: Mapping[str, MemoryCase]) -> Amounts:
    """The most that a process holds at once, beside what it held before; a process each."""
    rows = []
    for case, (model, name, dtype, devices) in cases.items():
        added, weights = call(__name__, peak.__name__, model, str(folder / name), dtype, devices, devices=devices)
        rows.append(Row(case, added / 1e6, added / weights, "the weights", MEMORY_AIM))
    if importlib.util.find_spec("levanter") is not None and peak is load_peak:
        added, weights = call(__name__, "levanter_load_peak", str(folder / "llama"))
        rows.append(Row(LEVANTER, added / 1e6, added / weights, "the weights"))
    return Amounts(f"{title}: peak of memory", "MB", rows)


def load_peak(model: str, folder: str, dtype: str | None, devices: int) -> tuple[int, int]:
    """Bytes that loading adds at most, and those of the weights."""
    _warm_up(model, folder)
    with _mesh(devices):
        kept = []
        added = added_peak(lambda: kept.append(_loaded(model, folder, dtype, devices)))
    return added, _nbytes(kept[0])


def save_peak(model: str, folder: str, dtype: str | None, devices: int) -> tuple[int, int]:
    """Bytes of the model and of what saving it adds at most, and those of the weights.

    It is saved in the dtype of the folder that it comes from.
    """
    with _mesh(devices):
        loaded = _loaded(model, folder, dtype, devices)
        _warm_up(model, folder)
        to = Path(folder).with_name("saved-peak")
        added = added_peak(lambda: save_hf(loaded, to, dtype=None if dtype is None else "bfloat16"))
    return _nbytes(loaded) + added, _nbytes(loaded)


def levanter_load_peak(folder: str) -> tuple[int, int]:
    """`load_peak` of Levanter's own loader."""
    from benchmarks.levanter_llama import load

    jnp.zeros(1).block_until_ready()
    kept = []
    added = added_peak(lambda: kept.append(load(Path(folder))))
    return added, _nbytes(kept[0])


def _loaded(model: str, folder: str | Path, dtype: str | None = None, devices: int = 1) -> Any:
    """By the class of the generated model of that type."""
    mapping = MAPPING if devices > 1 else None
    return load_hf(model_class(model), folder, dtype=dtype, axis_mapping=mapping)


def _warm_up(model: str, folder: str) -> None:
    """Imports what loading imports, and starts the backend: neither is part of the weights."""
    model_class(model).config_class().from_hf_config(read_config(Path(folder)))
    jnp.zeros(1).block_until_ready()


def _mesh(devices: int) -> Any:
    if devices == 1:
        return contextlib.nullcontext()
    return jax.set_mesh(jax.make_mesh((devices,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)))


def _nbytes(model: Any) -> int:
    return sum(array.nbytes for array in model_arrays(model))


def _copied(path: Path) -> Any:
    """What any loader has to do that gives arrays of its own: new pages, and the bytes in them. In the same pieces."""
    buffer = aligned((path.stat().st_size,), np.dtype(np.uint8))
    with path.open("rb") as file, ThreadPoolExecutor(2) as readers:
        starts = range(0, buffer.size, PIECE)
        list(readers.map(lambda start: os.preadv(file.fileno(), [buffer[start : start + PIECE]], start), starts))
    return buffer


def _write_bytes(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
