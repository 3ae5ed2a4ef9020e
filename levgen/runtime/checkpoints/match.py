"""Matching the tensors that a model wants with those that a checkpoint has."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from levgen.errors import nearest
from levgen.runtime.checkpoints.folder import HfCheckpointError
from levgen.runtime.checkpoints.names import HfTensor, hf_tensors

# (name, number of dimensions) of buffers that old versions of transformers stored and every version computes itself.
_RECOMPUTED = (
    (re.compile(r"(^|\.)attn(\.attention)?\.bias$|(^|\.)attention\.bias$"), 4),  # causal masks, [1, 1, n, n]
    (re.compile(r"(^|\.)(attn|attention)(\.attention)?\.masked_bias$"), 0),
    (re.compile(r"(^|\.)rotary_emb\.inv_freq$"), 1),
)


class Source(Protocol):
    """A tensor of a checkpoint that can be read: of a file, or of a torch module."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def equals(self, other: Self) -> bool: ...


class Readable(Source, Protocol):
    """A tensor whose values can be read into an array."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def read_into(self, out: np.ndarray[Any, Any], first: int = 0) -> None:
        """Fill `out` with elements of the tensor, from the element `first` on, as its dtype.

        They begin and end at rows: at places on the tensor's first axis.
        """


S = TypeVar("S", bound=Source)


def match_tensors(
    wanted: Sequence[HfTensor], found: Mapping[str, S], *, embedding: HfTensor | None, where: str
) -> list[S]:
    """The stored tensor for each wanted one.

    A checkpoint of the base model, whose names lack the first component that ours have (`transformer.`, `model.`), is
    accepted. So are tensors beyond the wanted ones that are buffers of older versions, or copies of
    `embedding`, that of the tokens: the head of a tied checkpoint.

    Raises `HfCheckpointError`, which lists all that is missing, misshapen or unexpected.
    """
    names = _names(wanted, found)
    problems = []
    unused = {name: stored for name, stored in found.items() if name not in names}
    for tensor, name in zip(wanted, names, strict=True):
        if name not in found:
            near = nearest(name, unused, most=1)
            shown = f"; nearest in the checkpoint: {near[0]} {list(found[near[0]].shape)}" if near else ""
            problems.append(f"missing {name} {list(tensor.shape)}, our {tensor.label}{shown}")
        elif found[name].shape != tensor.shape:
            problems.append(f"misshapen {name}: {list(found[name].shape)}, our {tensor.label} is {list(tensor.shape)}")
    labels = {name: tensor.label for tensor, name in zip(wanted, names, strict=True)}
    original = None if embedding is None else found.get(names[wanted.index(embedding)])
    for name, stored in unused.items():
        if _is_recomputed(name, stored):
            continue
        if original is not None and _equal(stored, original):
            continue
        near = nearest(name, names, most=1)
        shown = f"; nearest of ours: {labels[near[0]]} ({near[0]})" if near else ""
        problems.append(f"unexpected {name} {list(stored.shape)}{shown}")
    if problems:
        lines = "".join(f"\n  - {problem}" for problem in problems)
        raise HfCheckpointError(
            f"{where} has {len(found)} tensors for the {len(wanted)} of the model, {len(problems)} wrong:{lines}",
            "Check that config.json belongs to these weights, and `_state_dict_key_map` of the modules named.",
        )
    return [found[name] for name in names]


def as_named(template: Any, found: Mapping[str, Any]) -> list[HfTensor]:
    """The tensors of `template`, named as transformers' files or as its memory, whichever `found` has more of."""
    in_files = hf_tensors(template)
    missing = sum(name not in found for name in _names(in_files, found))
    if not missing:
        return in_files
    in_memory = hf_tensors(template, in_files=False)
    return in_memory if sum(name not in found for name in _names(in_memory, found)) < missing else in_files


def _names(wanted: Sequence[HfTensor], found: Mapping[str, Any]) -> list[str]:
    """The wanted names, without their first component where the checkpoint has no name with it."""
    firsts = [tensor.name.partition(".")[0] + "." for tensor in wanted]
    common = max(firsts, key=firsts.count, default="")
    if any(name.startswith(common) for name in found):
        return [tensor.name for tensor in wanted]
    return [tensor.name.removeprefix(common) for tensor in wanted]


def _equal(one: S, other: S) -> bool:
    """Whether both are stored alike, with the same values."""
    return type(one) is type(other) and one.shape == other.shape and one.equals(other)


def _is_recomputed(name: str, stored: Source) -> bool:
    return any(pattern.search(name) and len(stored.shape) == rank for pattern, rank in _RECOMPUTED)
