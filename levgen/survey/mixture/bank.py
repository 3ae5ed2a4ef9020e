"""A module with experts: which tensors of it are those of its experts, and what comes out with other ones in place."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from levgen.reference.record import Call, Probe
from levgen.survey.mixture.output_norm import OutputNorm, find_output_norm
from levgen.survey.observe.shapes import LENGTH, canonical, native

# Experts have two maps or three, some with biases.
_TENSORS = (2, 6)
_FLAT = 2  # dimensions


@dataclass(frozen=True)
class Bank:
    """A module with a router and experts, recorded in a call.

    `tensors`: by a name, one tensor for each expert, which are parts of its parameters: writing to them changes it.
    `others`: all other parameters and stored float buffers, by their names below the module.
    `norm`: what comes after all of that, and is none of it. The call's output is what goes into it then.
    """

    name: str
    call: Call
    holder: str  # the module that holds the experts' tensors, below this one
    count: int
    stacked: bool  # all experts lie in one tensor
    tensors: Mapping[str, tuple[Any, ...]]
    others: Mapping[str, Any]
    norm: OutputNorm | None = None
    flat: bool = False  # in a matrix, the rows of one expert after those of another

    @cached_property
    def probe(self) -> Probe:
        return Probe(self.call, {} if self.norm is None else {self.norm.name: self.norm.module})

    @property
    def module(self) -> Any:
        return self.call.module

    def run(self, x: Any) -> Any:
        """What the module makes of [n, N], before its norm, as many rows at a time as were recorded."""
        import torch

        made, want = [], None if self.norm is None else self.norm.name
        for rows in x.split(LENGTH):
            whole = torch.nn.functional.pad(rows, (0, 0, 0, LENGTH - len(rows)))
            out = self.probe.run({}, input=native(whole, self.call.input), want=want)
            made.append(canonical(out)[: len(rows)])
        return torch.cat(made)

    @contextmanager
    def zeroed(self, names: Iterable[str]) -> Iterator[None]:
        """Some of `others` are zeros meanwhile."""
        import torch

        kept = {name: self.others[name].detach().clone() for name in names}
        with torch.no_grad():
            for name in kept:
                self.others[name].zero_()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, tensor in kept.items():
                    self.others[name].copy_(tensor)

    def with_experts(self, place: Mapping[int, int], x: Any) -> Any:
        """What comes out where expert `e` has the tensors of expert `place[e]`, and all others have zeros."""
        import torch

        kept = {name: [t.clone() for t in own] for name, own in self.tensors.items()}
        nothing = {name: torch.zeros_like(own[0]) for name, own in self.tensors.items()}
        with self._written(lambda name, index: kept[name][place[index]] if index in place else nothing[name]):
            return self.run(x)

    def with_tensors(self, values: Mapping[str, Any], x: Any) -> Any:
        """What comes out where every expert has the tensors `values`, and zeros for those that have no value."""
        import torch

        nothing = {name: torch.zeros_like(own[0]) for name, own in self.tensors.items()}
        with self._written(lambda name, _: values.get(name, nothing[name])):
            return self.run(x)

    @contextmanager
    def _written(self, value: Callable[[str, int], Any]) -> Iterator[None]:
        """Every expert's tensors are what `value` gives for a name and the number of an expert, meanwhile."""
        import torch

        kept = {name: [t.clone() for t in own] for name, own in self.tensors.items()}
        with torch.no_grad():
            try:
                for name, own in self.tensors.items():
                    for index, tensor in enumerate(own):
                        tensor.copy_(value(name, index))
                yield
            finally:
                for name, own in self.tensors.items():
                    for index, tensor in enumerate(own):
                        tensor.copy_(kept[name][index])


def find_bank(layer: Any, calls: Mapping[str, list[Call]]) -> Bank | None:
    """The smallest module in `layer` with experts and something of a row for each of them; None where there is none.

    `calls`: those of the modules in `layer`, by name.
    """
    for holder, tensors in _experts(layer):
        (count,) = {len(own) for own in tensors.values()}
        name = holder
        while name:
            name = name.rpartition(".")[0]
            module = layer.get_submodule(name) if name else layer
            others = _others(module, tensors)
            if any(count in t.shape for t in others.values()):
                made = calls.get(name, [])
                if len(made) != 1 or made[0].input is None or made[0].output is None:
                    break
                if not _of_one_shape(made[0]):
                    break
                base = next(iter(tensors.values()))[0]._base
                flat = base is not None and base.dim() == _FLAT
                stacked = base is not None
                below = holder.removeprefix(name).lstrip(".")
                norm = find_output_norm(made[0], calls)
                if norm is None:
                    return Bank(name, made[0], below, count, stacked, tensors, others, flat=flat)
                before = replace(made[0], output=norm.given)
                others = {own: t for own, t in others.items() if not own.startswith(f"{norm.name}.")}
                return Bank(name, before, below, count, stacked, tensors, others, norm, flat)
    return None


def _of_one_shape(call: Call) -> bool:
    """Whether what goes in and what comes out are alike, but for the axes that a module may lay together."""
    given, gave = canonical(call.input), canonical(call.output)
    return given is not None and gave is not None and given.shape == gave.shape


def _others(module: Any, tensors: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """What a module stores beside the experts' tensors, which share memory with their parameters."""
    own = {tensor.untyped_storage().data_ptr() for each in tensors.values() for tensor in each}
    return {n: t.detach() for n, t in _stored(module).items() if t.untyped_storage().data_ptr() not in own}


def _stored(module: Any) -> dict[str, Any]:
    kept = set(module.state_dict())
    buffers = {n: b for n, b in module.named_buffers() if n in kept and b.is_floating_point()}
    return {**dict(module.named_parameters()), **buffers}


def _experts(layer: Any) -> Iterator[tuple[str, dict[str, tuple[Any, ...]]]]:
    """(name of the module that holds them, name -> a tensor for each expert) of whatever may be experts."""
    for name, module in layer.named_modules():
        own = dict(module.named_parameters(recurse=False))
        counts = {p.shape[0] for p in own.values() if p.dim() == 3}
        stacked = [p for p in own.values() if p.dim() == 3]
        if len(counts) == 1 and len(stacked) >= _TENSORS[0]:
            (count,) = counts
            shared = {n: p for n, p in own.items() if p.dim() in (2, 3) and p.shape[0] == count}
            if len(shared) <= _TENSORS[1] and count > 1:
                yield name, {n: tuple(p.data[i] for i in range(count)) for n, p in shared.items()}
        yield from ((name, tensors) for tensors in _of_rows(layer, own))
        children = list(module.named_children())
        if len(children) > 1 and all(key.isdigit() for key, _ in children):
            each = [dict(child.named_parameters()) for _, child in children]
            shapes = [{n: p.shape for n, p in one.items()} for one in each]
            if all(one == shapes[0] for one in shapes) and _TENSORS[0] <= len(shapes[0]) <= _TENSORS[1]:
                yield name, {n: tuple(one[n].data for one in each) for n in shapes[0]}


def _of_rows(layer: Any, own: Mapping[str, Any]) -> Iterator[dict[str, tuple[Any, ...]]]:
    """Matrices of one shape as those of experts, for each number of experts that something in `layer` has rows for."""
    flat = {name: p for name, p in own.items() if p.dim() == _FLAT}
    if not _TENSORS[0] <= len(flat) <= _TENSORS[1] or len({p.shape for p in flat.values()}) > 1:
        return
    ((rows, width),) = {p.shape for p in flat.values()}
    counts = {p.shape[0] for p in layer.parameters() if p.dim() == _FLAT and p.shape[1] == width}
    for count in sorted(counts):
        if 1 < count < rows and rows % count == 0:
            yield {n: tuple(p.data.view(count, rows // count, width)[i] for i in range(count)) for n, p in flat.items()}
