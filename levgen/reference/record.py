"""Recording a forward of a torch module, and running it with some of its modules' outputs replaced."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """One call of a module: copies of the tensor that went in and of the one that came out, and all its arguments."""

    name: str
    module: Any
    input: Any
    output: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


def tensors_in(value: Any) -> list[Any]:
    """The tensors in a module's arguments or output, in order."""
    import torch

    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in tensors_in(item)]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in tensors_in(item)]
    return []


def first_float(value: Any) -> Any:
    """The first floating-point tensor in `value`, else its first tensor, else None."""
    tensors = tensors_in(value)
    return next((t for t in tensors if t.is_floating_point()), tensors[0] if tensors else None)


def copied(value: Any) -> Any:
    """`value` with its tensors copied: what the caller adds in place would else change the record."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, tuple):
        return tuple(copied(item) for item in value)
    if isinstance(value, list):
        return [copied(item) for item in value]
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return value


def nth_call(name: str) -> int | None:
    """Which call of a module a name means: `norm@1` the second in a run; None for a name that means every call."""
    number = name.rpartition("@")[2] if "@" in name else ""
    return int(number) if number.isdigit() else None


class _Turn:
    """Counts the calls of the module that a name is of, and tells which of them the name means."""

    def __init__(self, name: str) -> None:
        self._wanted = nth_call(name)
        self._count = -1

    def comes(self) -> bool:
        """Whether the call that is made now is meant."""
        self._count += 1
        return self._wanted is None or self._count == self._wanted


def record(run: Callable[[], Any], modules: Mapping[str, Any], *, arguments: bool = False) -> list[Call]:
    """Every call of `modules` (by name, see `nth_call`) while `run` runs, in the order in which the calls ended.

    `arguments`: keep copies of all arguments too, so that the call can be made again.
    """
    import torch

    calls: list[Call] = []
    open_calls: dict[str, list[Any]] = {}

    def before(name: str) -> Callable[..., None]:
        turn = _Turn(name)

        def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if not turn.comes():
                return
            tensor = first_float([*args, *kwargs.values()])
            kept = (copied(args), copied(kwargs)) if arguments else ((), {})
            open_calls.setdefault(name, []).append((None if tensor is None else tensor.clone(), *kept))

        return hook

    def after(name: str) -> Callable[..., None]:
        def hook(module: Any, args: tuple[Any, ...], output: Any) -> None:
            if not open_calls.get(name):
                return
            given, kept_args, kept_kwargs = open_calls[name].pop()
            tensor = first_float(output)
            calls.append(Call(name, module, given, None if tensor is None else tensor.clone(), kept_args, kept_kwargs))

        return hook

    handles = []
    for name, module in modules.items():
        handles.append(module.register_forward_pre_hook(before(name), with_kwargs=True))
        handles.append(module.register_forward_hook(after(name)))
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return calls


class Probe:
    """A recorded module that can be run again: with another input, and with outputs of modules in it replaced.

    A replacement is a tensor in the output's own shape. What is recorded stands in `calls`. A name may mean one call of
    a module that is called several times: see `nth_call`.
    """

    def __init__(self, call: Call, watched: Mapping[str, Any]) -> None:
        self._call = call
        self._watched = dict(watched)
        self.calls = {c.name: c for c in record(lambda: self._forward(None, {}), self._watched)}
        self.input = call.input
        self.output = call.output

    def run(
        self,
        replaced: Mapping[str, Any],
        *,
        input: Any = None,
        want: str | None = None,
        arguments: Mapping[int | str, Any] | None = None,
    ) -> Any:
        """What goes into the module `want` (the probe's own output where None), with `replaced` in place.

        `arguments`: place or name -> what the module is given there.
        """
        import torch

        seen: dict[str, Any] = {}
        handles = []
        for name, tensor in replaced.items():
            handles.append(self._watched[name].register_forward_hook(_returning(tensor, _Turn(name))))
        if want is not None:
            handles.append(
                self._watched[want].register_forward_pre_hook(_stopping(seen, _Turn(want)), with_kwargs=True)
            )
        try:
            with torch.no_grad():
                out = first_float(self._forward(input, arguments or {}))
        except _StopForwardError:
            out = seen["in"]
        finally:
            for handle in handles:
                handle.remove()
        return out

    def _forward(self, input: Any, arguments: Mapping[int | str, Any]) -> Any:
        import torch

        args, kwargs = copied(self._call.args), copied(self._call.kwargs)
        args = tuple(arguments.get(place, item) for place, item in enumerate(args))
        kwargs = {name: arguments.get(name, item) for name, item in kwargs.items()}
        if input is not None:
            old = first_float([*args, *kwargs.values()])
            args = tuple(input.clone() if item is old else item for item in args)
            kwargs = {key: input.clone() if item is old else item for key, item in kwargs.items()}
        with torch.no_grad():
            return self._call.module(*args, **kwargs)


class _StopForwardError(Exception):
    """The tensor that was wanted has been seen."""


def _returning(tensor: Any, turn: _Turn) -> Callable[..., Any]:
    def hook(module: Any, args: Any, output: Any) -> Any:
        if not turn.comes():
            return output
        if isinstance(output, tuple):
            return (tensor.clone(), *output[1:])
        return tensor.clone()

    return hook


def _stopping(seen: dict[str, Any], turn: _Turn) -> Callable[..., None]:
    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not turn.comes():
            return
        seen["in"] = first_float([*args, *kwargs.values()]).clone()
        raise _StopForwardError

    return hook
