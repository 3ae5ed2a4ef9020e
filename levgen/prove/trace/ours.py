"""Our run, operation by operation, with every call of a module kept.

The modules of the model are replaced by taps, which note what goes in and what comes out, and the scan over layers by a
loop. With `feed`, the hidden states before each layer, before the final norm and before the head are the reference's,
so that what is wrong in one place is not seen in the next.
"""

import copy
import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import haliax as hax
import haliax.nn as hnn
import jax
import jax.numpy as jnp
import numpy as np
from haliax import Axis, NamedArray
from haliax.nn.scan import BlockSeq, Stacked
from haliax.state_dict import ModuleWithStateDictSerialization
from haliax.util import is_named_array

from levgen.prove.trace.event import ATTENTION, EMBEDDINGS, HIDDEN, LOGITS, Array, Event, Trace, Value, named_value
from levgen.runtime.checkpoints.names import in_memory
from levgen.runtime.mask import AttentionMask
from levgen.runtime.model import split_activations
from levgen.runtime.runs import Runs

_WHOLE = (hnn.Linear, hnn.Embedding)  # what is inside of these is their own business
_ATTENTION = "dot_product_attention"


@dataclass
class Recorder:
    """What taps write to. `feed`: path -> the reference's input {batch, position, embed} there.

    only: the layers that are run; None is all. Layers left out give what the next is fed; where layers hand on more
    than hidden states, all are run.
    renamed: steps of our names, which are those of files -> what the reference calls them in memory.
    """

    batch: int
    length: int
    feed: Mapping[str, Array] = field(default_factory=dict)
    only: Collection[int] | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    trace: Trace = field(default_factory=Trace)
    running: list[int] = field(default_factory=list)
    clock: int = 0
    through_layers: bool = False

    def call(self, event: Event, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs a call as `event`, inside of the one that runs."""
        event.parent = self.running[-1] if self.running else None
        event.inputs = self.values([args, kwargs])
        event.started = self._tick()
        self.trace.events.append(event)
        self.running.append(len(self.trace.events) - 1)
        out = function(*args, **kwargs)
        # Not in a `finally`: what was running when a call fails says where.
        self.running.pop()
        # Of whole numbers, such as which keys were chosen, some mean nothing.
        event.outputs = tuple(value for value in self.values(out) if jnp.issubdtype(value.array.dtype, jnp.inexact))
        event.ended = self._tick()
        return out

    def note(self, path: str, owner: str, x: NamedArray) -> None:
        """Keeps `x` as if a module at `path` had put it out."""
        self.call(Event(path, owner, path.strip("<>"), owner, None), lambda: x, (), {})

    def values(self, tree: Any) -> tuple[Value, ...]:
        """The arrays of a call's arguments or results that have positions; masks are none."""
        leaves = jax.tree.leaves(tree, is_leaf=lambda leaf: is_named_array(leaf) or isinstance(leaf, AttentionMask))
        named = [leaf for leaf in leaves if isinstance(leaf, NamedArray)]
        found = [named_value(leaf, self.batch, self.length) for leaf in named]
        return tuple(value for value in found if value is not None)

    def fed(self, path: str, x: NamedArray) -> NamedArray:
        """`x`, or the reference's values where it is fed at `path`."""
        values = self.feed.get(path)
        if values is None or not isinstance(x, NamedArray):
            return x
        axes = {axis.name: axis for axis in x.axes}
        order = [name for name in axes if name not in ("batch", "position")]
        if "batch" not in axes or "position" not in axes or values.size != x.array.size:
            return x
        first = (axes["batch"], axes["position"], *(axes[name] for name in order))
        return hax.named(values.reshape([axis.size for axis in first]), first).rearrange(x.axes)

    def _tick(self) -> int:
        self.clock += 1
        return self.clock


class Tap:
    """Stands in a field for the module that it holds."""

    def __init__(self, module: Any, event: Event, recorder: Recorder) -> None:
        self.module, self.event, self.recorder = module, event, recorder

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # One module may serve before the layers and after them: only there is its input known.
        if args and self.recorder.through_layers:
            args = (self.recorder.fed(self.event.path, args[0]), *args[1:])
        return self.recorder.call(dataclasses.replace(self.event), self.module, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)


class Loop:
    """Stands for a stack of layers: `fold` calls one after the other."""

    def __init__(self, stack: Any, path: str, owner: str, recorder: Recorder) -> None:
        self.stack, self.path, self.owner, self.recorder = stack, path, owner, recorder

    def fold(self, stream: Any, *args: Any, **kwargs: Any) -> Any:
        """As that of the stack. Arguments that have the layers' axis give each layer its own.

        `stream`: hidden states, or a tuple of them and what layers hand on beside them.
        """
        Block = self.stack.Block

        for layer in range(Block.size):
            path = f"{self.path}.{layer}"
            x, *others = stream if isinstance(stream, tuple) else (stream,)
            if layer == 0:
                self.recorder.note(EMBEDDINGS, self.owner, x)
            x = self.recorder.fed(path, x)
            stream = (x, *others) if others else x
            if self.recorder.only is not None and layer not in self.recorder.only and not others:
                continue
            mine = of_layer((args, kwargs), Block, layer)
            block = _tapped(self.block(layer), path, self.recorder)
            event = Event(path, self.owner, "layers", type(block).__name__, None)
            stream = self.recorder.call(event, block, (stream, *mine[0]), mine[1])
        self.recorder.through_layers = True
        return stream

    def block(self, layer: int) -> Any:
        """The module of one layer."""
        if isinstance(self.stack, BlockSeq):
            return self.stack.blocks[layer]
        if isinstance(self.stack, Runs):
            numbers, stack = next(run for run in self.stack.placed() if layer in run[0])
            return of_layer(stack.stacked, stack.Block, numbers.index(layer))

        return of_layer(self.stack.stacked, self.stack.Block, layer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stack, name)


def of_layer(tree: Any, Block: Axis, layer: int) -> Any:
    """`tree` with one layer's entry of each named array that has the axis `Block`."""

    def entry(leaf: Any) -> Any:
        names = [axis.name for axis in leaf.axes] if isinstance(leaf, NamedArray) else []
        if Block.name not in names:
            return leaf
        # By numpy: an indexing operation of jax would be compiled for each shape.
        at = names.index(Block.name)
        array = jax.device_put(np.take(np.asarray(leaf.array), layer, axis=at))
        return NamedArray(array, tuple(axis for axis in leaf.axes if axis.name != Block.name))

    return jax.tree.map(entry, tree, is_leaf=is_named_array)


def our_trace(
    model: Any,
    module: Any,
    case_inputs: tuple[NamedArray, AttentionMask, NamedArray],
    *,
    feed: Mapping[str, Array] | None = None,
    only: Collection[int] | None = None,
    head: Array | None = None,
) -> Trace:
    """The trace of `model`, a class of `module`, on tokens, mask and positions.

    head: the reference's {batch, position, embed} that its head is given.
    """
    tokens, mask, positions = case_inputs
    batch, length = tokens.array.shape
    recorder = Recorder(batch, length, feed or {}, only, type(model).hf_module_names)
    tapped = _tapped(model, None, recorder)
    original = getattr(module, _ATTENTION, None)
    try:
        if original is not None:
            setattr(module, _ATTENTION, _listening(original, recorder))
        _run(tapped, tokens, mask, positions, recorder, head)
    except Exception as error:
        recorder.trace.error = error
        recorder.trace.stack = tuple(recorder.running)
    finally:
        if original is not None:
            setattr(module, _ATTENTION, original)
    return recorder.trace


def _run(
    tapped: Any, tokens: NamedArray, mask: AttentionMask, positions: NamedArray, recorder: Recorder, head: Any
) -> None:
    hidden, _ = split_activations(tapped.activations(tokens, mask, pos_ids=positions))
    recorder.note(HIDDEN, type(tapped).__name__, hidden)
    if head is not None:
        hidden = dataclasses.replace(recorder, feed={LOGITS: head}).fed(LOGITS, hidden)
    name = type(tapped).__name__
    event = Event(LOGITS, name, "logits", name, None)
    recorder.call(event, tapped.logits, (hidden,), {})


def _listening(original: Any, recorder: Recorder) -> Any:
    def attend(q: NamedArray, k: NamedArray, v: NamedArray, *args: Any, **kwargs: Any) -> Any:
        caller = recorder.trace.events[recorder.running[-1]] if recorder.running else None
        path = f"{caller.path}.{ATTENTION}" if caller else ATTENTION
        owner = caller.class_name if caller else ""
        event = Event(path, owner, "attention", "attention", None)
        event.mask = _visible(args[0] if args else kwargs.get("mask"), q, recorder)
        return recorder.call(event, lambda q, k, v: original(q, k, v, *args, **kwargs), (q, k, v), {})

    return attend


def _visible(mask: Any, q: NamedArray, recorder: Recorder) -> Array | None:
    """{batch, position, key_position} bool: which keys a query sees; None where heads differ in that."""
    Pos = q.resolve_axis("position")
    KeyPos = Pos.alias("key_position")
    visible = AttentionMask.of(mask).materialize(Pos, KeyPos)
    if visible is None:
        return np.ones((recorder.batch, Pos.size, Pos.size), bool)
    if not {axis.name for axis in visible.axes} <= {"batch", "position", "key_position"}:
        return None
    array = np.asarray(visible.rearrange((..., Pos, KeyPos)).array)
    return np.broadcast_to(array, (recorder.batch, Pos.size, Pos.size))


def _tapped(module: Any, path: str | None, recorder: Recorder) -> Any:
    """A copy of `module` with taps in the place of its modules. `path`: its name in the checkpoint."""
    tapped = copy.copy(module)
    renamed = module._state_dict_key_map() if isinstance(module, ModuleWithStateDictSerialization) else {}
    owner = type(module).__name__
    for item in dataclasses.fields(module):
        value = getattr(module, item.name, None)
        theirs = renamed.get(item.name, item.name)
        below = in_memory(".".join(part for part in (path, theirs) if part is not None), recorder.renamed)
        put: Any
        if isinstance(value, Stacked | BlockSeq | Runs):
            put = Loop(value, below, owner, recorder)
        elif isinstance(value, eqx.Module) and callable(value) and not isinstance(module, _WHOLE):
            # What has no name of its own in the reference is no module of it.
            shown = below if theirs is not None and below else f"{below}.<{item.name}>"
            event = Event(shown, owner, item.name, type(value).__name__, None)
            put = Tap(_tapped(value, below, recorder), event, recorder)
        else:
            continue
        object.__setattr__(tapped, item.name, put)
    return tapped
