"""A transformers model in memory as a checkpoint: its tensors under the names that `save_pretrained` gives them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np


@dataclass(frozen=True)
class TorchTensor:
    """A torch tensor as a tensor of a checkpoint (see `checkpoints.match.Source`)."""

    values: np.ndarray[Any, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.values.dtype
        return dtype

    def read_into(self, out: np.ndarray[Any, Any], first: int = 0) -> None:
        out[...] = self.values.reshape(-1)[first : first + out.size].reshape(out.shape)

    def equals(self, other: "TorchTensor") -> bool:
        return np.array_equal(self.values, other.values)


def torch_tensors(state_dict: Mapping[str, Any]) -> dict[str, TorchTensor]:
    """The tensors of a state dict, sharing torch's memory."""
    return {name: TorchTensor(torch_to_numpy(tensor)) for name, tensor in state_dict.items()}


def torch_to_numpy(tensor: Any) -> np.ndarray[Any, Any]:
    """The values of a torch tensor, of the same dtype."""
    import torch

    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)  # type: ignore[no-any-return]
    return tensor.numpy()  # type: ignore[no-any-return]


def checkpoint_names(hf_model: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """`tensors`, named as the modules of `hf_model`, as `save_pretrained` names and lays them out.

    They differ where transformers converts checkpoints as it loads them.
    """
    from transformers import PreTrainedModel
    from transformers.core_model_loading import revert_weight_conversion

    if not isinstance(hf_model, PreTrainedModel):
        return dict(tensors)
    return dict(revert_weight_conversion(hf_model, dict(tensors)))
