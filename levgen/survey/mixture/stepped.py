"""Do fields say which layers have experts: a list of their numbers, or the last of every so many, but for some?"""

from collections.abc import Callable, Iterator
from typing import Any

from levgen.reference.sizing.values import is_int
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.trials import Trial, Trials
from levgen.survey.evidence import Evidence


def find_stepped(trials: Trials, found: FieldMap) -> None:
    """Notes the fields of `sparse_step` and `dense_layers`, where two say of every layer that was examined what it is.

    Each must have been altered alone, and have altered which layers have experts.
    """
    base = trials.base.measures
    if base is None or len(set(base.sparse)) < 2 or {"mlp_layer_types", "sparse_layers"} & found.lists.keys():
        return
    for step in _deciding(trials, lambda value: is_int(value) and value > 0):
        for numbers in _deciding(trials, lambda value: isinstance(value, list) and all(map(is_int, value))):
            if all(_agrees(trial, step, numbers) for trial in trials.examined):
                found.sizes["sparse_step"], found.lists["dense_layers"] = step, numbers
                found.sizes.pop("num_dense_layers", None)
                said = f"the last of every {step}, but for {numbers}"
                probe = f"{len(trials.examined)} configs"
                found.evidence.append(Evidence("which layers have experts", said, 0.0, probe=probe))
                return


def find_numbered(trials: Trials, found: FieldMap) -> None:
    """Notes the field of `sparse_layers`, where a list of numbers says of every layer that was examined what it is.

    It must have been altered alone, and have altered which layers have experts.
    """
    base = trials.base.measures
    if base is None or len(set(base.sparse)) < 2 or "mlp_layer_types" in found.lists:
        return
    for numbers in _deciding(trials, lambda value: isinstance(value, list) and all(map(is_int, value))):
        if all(_numbers(trial, numbers) for trial in trials.examined):
            found.lists["sparse_layers"] = numbers
            found.sizes.pop("num_dense_layers", None)
            probe = f"{len(trials.examined)} configs"
            found.evidence.append(Evidence("which layers have experts", f"those in {numbers}", 0.0, probe=probe))
            return


def _numbers(trial: Trial, numbers: str) -> bool:
    """Whether a list of numbers says of each layer that was examined whether it has experts."""
    held = trial.values[numbers]
    if trial.measures is None or not isinstance(held, list):
        return False
    return tuple(layer in held for layer in range(len(trial.measures.sparse))) == trial.measures.sparse


def _deciding(trials: Trials, known: Callable[[Any], bool]) -> Iterator[str]:
    """The fields with a `known` value that, altered alone, alter which layers have experts."""
    base = trials.base.measures
    for hf, value in trials.base.values.items():
        seen = [trial.measures.sparse for trial in trials.of(hf) if trial.measures is not None]
        if base is not None and known(value) and any(sparse != base.sparse for sparse in seen):
            yield hf


def _agrees(trial: Trial, step: str, numbers: str) -> bool:
    """Whether two fields say of each layer that was examined whether it has experts."""
    every, without = trial.values[step], trial.values[numbers]
    if trial.measures is None or not is_int(every) or every < 1 or not isinstance(without, list):
        return False
    said = [(layer + 1) % every == 0 and layer not in without for layer in range(len(trial.measures.sparse))]
    return tuple(said) == trial.measures.sparse
