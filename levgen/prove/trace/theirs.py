"""The reference's run: what every module is given and gives, listened to with forward hooks."""

import sys
from typing import Any

import numpy as np
from haliax import NamedArray

from levgen.prove.bench import documents
from levgen.prove.outcome import Case
from levgen.prove.trace.event import ATTENTION, LOGITS, Array, Event, Trace, Value, plain_value
from levgen.runtime.testing import to_torch

_FUNCTION = "eager_attention_forward"


def reference_trace(reference: Any, case: Case) -> Trace:
    """The trace of a case. Documents run alone and their values are joined along the position."""
    traces = [_traced(reference, piece) for piece in documents(case)]
    first, *others = traces
    for index, event in enumerate(first.events):
        parts = [trace.events[index] for trace in others]
        event.inputs = _joined(event.inputs, [part.inputs for part in parts])
        event.mask = event.mask if not others else None  # of one document
        event.outputs = _joined(event.outputs, [part.outputs for part in parts])
    return first


def _joined(values: tuple[Value, ...], others: list[tuple[Value, ...]]) -> tuple[Value, ...]:
    if not others:
        return values
    joined = []
    for index, value in enumerate(values):
        arrays = [value.array, *(other[index].array for other in others)]
        if len({array.shape[2] for array in arrays}) > 1:
            break  # a mask, as wide as its document
        joined.append(Value(np.concatenate(arrays, axis=1)))
    return tuple(joined)


def _traced(reference: Any, tokens: NamedArray) -> Trace:
    import torch

    batch, length = tokens.array.shape
    trace = Trace()
    running: list[int] = []
    names = {module: name for name, module in reference.named_modules()}

    def values(arguments: Any) -> tuple[Value, ...]:
        found = [plain_value(tensor.detach().numpy().copy(), batch, length) for tensor in _tensors(arguments)]
        return tuple(value for value in found if value is not None)

    def start(path: str, class_name: str, arguments: Any) -> Event:
        event = Event(path, "", path.rpartition(".")[2], class_name, running[-1] if running else None)
        event.inputs = values(arguments)
        trace.events.append(event)
        return event

    def before(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        start(names[module], type(module).__name__, [*args, *kwargs.values()])
        running.append(len(trace.events) - 1)

    def after(module: Any, args: tuple[Any, ...], output: Any) -> None:
        trace.events[running.pop()].outputs = values(output)

    def listen(original: Any) -> Any:
        def attend(module: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
            event = start(f"{names[module]}.{ATTENTION}", "attention", [query, key, value])
            event.mask = _visible(args[0] if args else kwargs.get("attention_mask"), batch, length)
            out = original(module, query, key, value, *args, **kwargs)
            event.outputs = values(out[0])
            return out

        return attend

    files = {sys.modules[type(module).__module__] for module in names}
    attending = {file: getattr(file, _FUNCTION) for file in files if hasattr(file, _FUNCTION)}
    hooks = [module.register_forward_pre_hook(before, with_kwargs=True) for module in names]
    hooks += [module.register_forward_hook(after) for module in names]
    try:
        for file, original in attending.items():
            setattr(file, _FUNCTION, listen(original))
        with torch.no_grad():
            logits = reference(to_torch(tokens)).logits
    finally:
        for hook in hooks:
            hook.remove()
        for file, original in attending.items():
            setattr(file, _FUNCTION, original)
    trace.events.append(Event(LOGITS, "", "logits", "logits", None, outputs=values(logits)))
    return trace


def _visible(mask: Any, batch: int, length: int) -> Array | None:
    """{batch, position, key_position} bool from an additive or boolean mask; None where it tells less."""
    if mask is None or tuple(mask.shape[-2:]) != (length, length):
        return None
    seen = mask if mask.dtype.is_floating_point is False else mask > -1.0
    return np.broadcast_to(seen.reshape(-1, length, length)[:1].numpy(), (batch, length, length)).copy()


def _tensors(value: Any) -> list[Any]:
    """The tensors of what a module takes or gives: lists and tuples are looked into, and records of outputs."""
    if hasattr(value, "detach"):
        return [value]
    if hasattr(value, "to_tuple"):
        return _tensors(value.to_tuple())
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in _tensors(item)]
    return []
