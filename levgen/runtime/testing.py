"""What the tests of a ported model import: comparing tensors, and moving weights between torch and jax.

torch, transformers and pytest are imported where they are used.
"""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any, TypeVar

import haliax as hax
import ml_dtypes
import numpy as np
from haliax import Axis, NamedArray

from levgen.errors import LevgenError
from levgen.runtime.abstract import abstract_model
from levgen.runtime.checkpoints.from_torch import checkpoint_names, torch_tensors, torch_to_numpy
from levgen.runtime.checkpoints.load import fill, token_embedding, vocab_size
from levgen.runtime.checkpoints.match import as_named, match_tensors
from levgen.runtime.checkpoints.names import hf_tensors, model_arrays
from levgen.runtime.mask import AttentionMask
from levgen.runtime.model import LmHeadModel

M = TypeVar("M", bound=LmHeadModel)
T = TypeVar("T")
Array = np.ndarray[Any, Any]

# What is left of a gradient of 0 in float32, relative to the largest gradient of the model.
_ROUNDING = 1e-6


def skip_without_torch() -> None:
    """Skip the calling test, or its whole file when called at the top of it, where torch or transformers is missing."""
    import pytest

    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: there is no reference to compare with", allow_module_level=True)


def trusted_folder(model_type: str) -> Path:
    """The folder with the reference's own code that LEVGEN_TRUST_REMOTE_CODE names; without one the test is skipped.

    The variable holds one folder, or several with the separator of paths (`:`); the one is taken whose `config.json`
    is of `model_type`. Naming a folder is the consent to import the code in it.
    """
    import pytest

    given = [Path(entry) for entry in os.environ.get("LEVGEN_TRUST_REMOTE_CODE", "").split(os.pathsep) if entry]
    for folder in given:
        path = folder / "config.json"
        if not path.is_file():
            raise LevgenError(f"LEVGEN_TRUST_REMOTE_CODE names {folder}, which has no config.json.")
        if json.loads(path.read_text(encoding="utf-8")).get("model_type") == model_type:
            return folder
    raise pytest.skip.Exception(
        f"the reference of {model_type} is code that comes with its checkpoint: set LEVGEN_TRUST_REMOTE_CODE to that "
        f"folder to let the tests import it"
    )


def save_reference(reference: Any, folder: Path, *, max_shard_size: str) -> None:
    """`reference.save_pretrained`; the calling test is skipped where that refuses weights that are tied unsaid.

    Code that comes with a checkpoint may hold one parameter in two places without telling transformers so.
    """
    import pytest

    try:
        reference.save_pretrained(folder, max_shard_size=max_shard_size)
    except RuntimeError as error:
        if "shared tensors" not in str(error):
            raise
        pytest.skip(f"transformers doesn't save the reference: {str(error).splitlines()[0]}")


def to_numpy(x: Any) -> Array:
    """The values of a NamedArray (in its order of axes), or a jax, numpy or torch array; bfloat16 becomes float32."""
    if isinstance(x, NamedArray):
        x = x.array
    if hasattr(x, "detach"):
        x = torch_to_numpy(x)
    array = np.asarray(x)
    return array.astype(np.float32) if array.dtype == ml_dtypes.bfloat16 else array


def to_torch(x: Any) -> Any:
    """A torch tensor with the values of a NamedArray (in its order of axes) or array; integers become int64."""
    import torch

    raw = np.asarray(x.array if isinstance(x, NamedArray) else x)
    if raw.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(raw.astype(np.float32)).to(torch.bfloat16)
    wide = raw.astype(np.int64) if np.issubdtype(raw.dtype, np.integer) else np.array(raw)
    return torch.from_numpy(wide)


def relative_error(ours: Any, reference: Any) -> float:
    """max |ours - reference| / max |reference|; infinite where either has a NaN or an infinity.

    Raises `LevgenError` where the shapes differ.
    """
    a, b = (to_numpy(x).astype(np.float64) for x in (ours, reference))
    if a.shape != b.shape:
        raise LevgenError(f"shapes differ: ours {_shape(ours)}, reference {_shape(reference)}.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    worst, scale = (np.abs(x).max(initial=0.0) for x in (a - b, b))
    if scale == 0.0:
        return 0.0 if worst == 0.0 else float("inf")
    return float(worst / scale)


def typical_error(ours: NamedArray, reference: NamedArray) -> float:
    """`relative_error` of the median token, {..., position, vocab}: half of the tokens differ by no more.

    For models with routers in few bits. Rounding sends some tokens to other experts, in either implementation, and the
    largest error is that of one such token.

    Raises `LevgenError` where the shapes differ.
    """
    largest = relative_error(ours, reference)
    if not 0.0 < largest < float("inf"):
        return largest
    a, b = (to_numpy(x).astype(np.float64) for x in (ours, reference))
    return float(np.median(np.abs(a - b).max(axis=-1)) / np.abs(b).max())


def assert_close(ours: Any, reference: Any, tolerance: float, what: str) -> None:
    """Raises `AssertionError`, with the worst index and both values there, for a relative error above `tolerance`."""
    error = relative_error(ours, reference)
    if error <= tolerance:
        return
    a, b = (to_numpy(x).astype(np.float64) for x in (ours, reference))
    difference = np.nan_to_num(np.abs(a - b), nan=np.inf)
    worst = np.unravel_index(int(difference.argmax()), a.shape)
    names = next(([axis.name for axis in x.axes] for x in (ours, reference) if isinstance(x, NamedArray)), None)
    index = [f"{names[i]}={at}" if names else str(at) for i, at in enumerate(worst)]
    beyond = int((difference > tolerance * np.abs(b).max(initial=0.0)).sum())
    raise AssertionError(
        f"{what}: relative error {error:.3g}, at most {tolerance:.3g} is allowed; {beyond} of {a.size} values differ "
        f"by more. Worst at [{', '.join(index)}]: ours {a[worst]:.6g}, reference {b[worst]:.6g}."
    )


def randomize(hf_module: T, seed: int = 0, std: float = 0.2) -> T:
    """Give every parameter and every stored float buffer of a torch module random values, and set it to eval mode.

    A fresh reference hides mistakes: its biases are 0, its norms' gains 1, its logits nearly flat. Values are
    Normal(0, std), around 1 where a tensor is constantly 1 (gains). A buffer that is one number is a constant of a
    formula: it is multiplied by one around 1. Tied tensors stay tied. Buffers that are not in the
    state dict, and rotary frequencies, are tables that the reference computes: they are kept. Attention becomes eager.
    """
    import torch

    module: Any = hf_module
    stored = set(module.state_dict())
    tensors = [*module.named_parameters()]
    tensors += [(name, buffer) for name, buffer in module.named_buffers() if name in stored]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in tensors:
            if tensor.is_floating_point() and not name.endswith("inv_freq"):
                around = 1.0 if bool((tensor == 1.0).all()) else 0.0
                noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float32)
                is_constant = tensor.dim() == 0 and not tensor.requires_grad
                tensor.copy_(tensor * (1 + std * noise) if is_constant else around + std * noise)
    if hasattr(module, "set_attn_implementation"):
        module.set_attn_implementation("eager")
    elif hasattr(module, "config"):
        module.config._attn_implementation = "eager"
    module.eval()
    return hf_module


def shuffled(Pos: Axis, seed: int = 0) -> tuple[NamedArray, AttentionMask]:
    """(positions {position} int in random order, the mask under which each sees itself and those before it)."""
    positions = hax.named(np.random.default_rng(seed).permutation(Pos.size), Pos)
    KeyPos = Pos.alias("key_position")
    keys = positions.rename({Pos.name: KeyPos.name})
    return positions, AttentionMask.explicit(keys.broadcast_axis(Pos) <= positions)


def load_from_torch(ModelClass: type[M], hf_model: Any) -> M:
    """Our model with the configuration and the weights of a transformers model, by the names that `load_hf` uses.

    Raises `HfConfigError` and `HfCheckpointError` as `load_hf` does.
    """
    config = ModelClass.config_class().from_hf_config(hf_model.config)
    template = abstract_model(ModelClass, config, vocab_size(hf_model.config))
    return _filled(template, checkpoint_names(hf_model, hf_model.state_dict()), type(hf_model).__name__)


def module_from_torch(template: T, hf_module: Any) -> T:
    """`template`, one of our modules (arrays or shapes), with the weights of the torch submodule that it mirrors.

    Raises `HfCheckpointError`, which lists the tensors that one has and the other has not.
    """
    return _filled(template, hf_module.state_dict(), type(hf_module).__name__)


def unlike_shapes(model: Any, hf_model: Any) -> list[str]:
    """The tensors that our model and a transformers model don't share, or have in other shapes: a line for each.

    Both may be without their weights: shapes in the place of arrays, and tensors on the device `meta`.
    """
    ours = {tensor.name: tensor.shape for tensor in hf_tensors(model)}
    named = checkpoint_names(hf_model, dict(hf_model.named_parameters()))
    theirs = {name: tuple(tensor.shape) for name, tensor in named.items()}
    problems = [f"{name}: only the reference has it" for name in theirs.keys() - ours.keys()]
    # Buffers are stored too; a tied parameter is stored under two names and is one.
    stored = checkpoint_names(hf_model, dict(hf_model.named_parameters()) | dict(hf_model.named_buffers()))
    problems += [f"{name}: only ours has it" for name in ours.keys() - stored.keys()]
    problems += [
        f"{name}: ours {ours[name]}, the reference {theirs[name]}"
        for name in ours.keys() & theirs.keys()
        if ours[name] != theirs[name]
    ]
    return sorted(problems)


def hf_gradients(hf_model: Any) -> dict[str, Array]:
    """The gradient of each trained parameter by its name in the checkpoint, after `backward`. Tied ones have one name.

    Raises `LevgenError` where there is none.
    """
    gradients = {name: p.grad for name, p in hf_model.named_parameters() if p.grad is not None}
    if not gradients:
        raise LevgenError("the torch model has no gradients.", "Call backward() on its loss first.")
    return {name: to_numpy(gradient) for name, gradient in checkpoint_names(hf_model, gradients).items()}


def gradients_by_hf_name(gradients: Any) -> dict[str, Array]:
    """The arrays of our model, or of its gradients, by their names in the checkpoint."""
    arrays = [to_numpy(array) for array in model_arrays(gradients)]
    return {t.name: t.select(arrays[t.leaf]).reshape(t.shape) for t in hf_tensors(gradients)}


def without_rounding(gradients: dict[str, Array]) -> dict[str, Array]:
    """`gradients` with zeros for those that are nothing but rounding beside the largest.

    Some vanish in exact arithmetic: a bias of keys adds the same to every score of a query where nothing rotates.
    """
    noise = _ROUNDING * max(float(np.abs(gradient).max(initial=0.0)) for gradient in gradients.values())
    return {
        name: gradient if np.abs(gradient).max(initial=0.0) > noise else np.zeros_like(gradient)
        for name, gradient in gradients.items()
    }


def init_statistics(model: Any) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each floating-point parameter of a torch module, or model of ours, by HF name."""
    if hasattr(model, "named_parameters"):
        named = {name: parameter.detach() for name, parameter in model.named_parameters()}
        arrays = {name: to_numpy(tensor) for name, tensor in checkpoint_names(model, named).items()}
    else:
        arrays = gradients_by_hf_name(model)
    return {
        name: (float(a.mean()), float(a.std())) for name, a in arrays.items() if np.issubdtype(a.dtype, np.floating)
    }


def _filled(template: T, state_dict: Any, where: str) -> T:
    found = torch_tensors(state_dict)
    wanted = as_named(template, found)
    sources = match_tensors(wanted, found, embedding=token_embedding(template, wanted), where=where)
    return fill(template, wanted, sources)


def _shape(x: Any) -> str:
    return str(x.axes) if isinstance(x, NamedArray) else str(list(x.shape)) if hasattr(x, "shape") else "[]"
