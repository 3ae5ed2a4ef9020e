"""parameters: every tensor of the reference has its place in ours, and ours has none that the reference lacks."""

from typing import Any

from levgen.errors import LevgenError
from levgen.prove.bench import LENGTH, Bench, abstract
from levgen.prove.outcome import Case, Outcome, failed, passed
from levgen.prove.rungs.traces import FULL_VOCAB
from levgen.runtime.checkpoints.names import hf_tensors


def parameters(bench: Bench) -> Outcome:
    """Loads the reference's weights at TINY and at every config of the tests; compares shapes at full size."""
    subject = bench.subject
    if bench.missing:
        return failed(bench.missing)
    configs = {"TINY": subject.config, **subject.variations}
    for name, config in configs.items():
        try:
            strange = bench.ported(config).unlike_parameters()
        except LevgenError as error:
            lines = str(error).splitlines()
            return failed(f"{name}: {lines[0]}", details=tuple(lines[1:]), case=Case(config, LENGTH))
        if strange:
            return failed(f"{name}: only one side has {strange[0]}", details=tuple(strange), case=Case(config, LENGTH))
    count = len(hf_tensors(bench.ported().model))
    full, problems = _at_full_size(subject.model_class, subject.config_class())
    if problems:
        return failed(f"at full size: {problems[0]}", details=tuple(problems[1:]))
    return passed(f"{count} tensors at {len(configs)} configs; {full} at full size")


def _at_full_size(model_class: Any, config: Any) -> tuple[int, list[str]]:
    """How many tensors the config's defaults have, and those whose shape differs; no memory is taken."""
    import torch
    from transformers import AutoModelForCausalLM

    from levgen.runtime.checkpoints.from_torch import checkpoint_names
    from levgen.runtime.parity import reference_config

    ours = {tensor.name: tensor.shape for tensor in hf_tensors(abstract(model_class, config, FULL_VOCAB))}
    with torch.device("meta"):
        reference = AutoModelForCausalLM.from_config(
            reference_config(config, FULL_VOCAB.size), attn_implementation="eager"
        )
    named = checkpoint_names(reference, dict(reference.named_parameters()))
    theirs = {name: tuple(tensor.shape) for name, tensor in named.items()}
    problems = [f"{name}: only the reference has it" for name in theirs.keys() - ours.keys()]
    # Buffers are stored too; a tied parameter is stored under two names and is one.
    buffers = checkpoint_names(reference, dict(reference.named_parameters()) | dict(reference.named_buffers()))
    problems += [f"{name}: only ours has it" for name in ours.keys() - buffers.keys()]
    problems += [
        f"{name}: ours {ours[name]}, the reference {theirs[name]}"
        for name in ours.keys() & theirs.keys()
        if ours[name] != theirs[name]
    ]
    return len(ours), sorted(problems)
