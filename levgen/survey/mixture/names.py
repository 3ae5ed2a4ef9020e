"""Which tensor plays which role in a mixture of experts, by the names of checkpoints, and how these lie in memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from levgen.survey.evidence import UnresolvedError
from levgen.survey.mixture.whole import Mixture

_QUESTION = "names of experts in a checkpoint"
# Whether gate and up, and down, are stored {in, out}, where the rows of all experts lie in one matrix.
_FLAT = (False, True)
# Names in the memory of transformers, where all experts lie in one tensor.
_IN_MEMORY = {"gate_up": "gate_up_proj", "down": "down_proj"}


@dataclass(frozen=True)
class MixtureNames:
    """`module`: the mixture's name below a layer. `moe`, `mlp` (of the shared expert): role -> name below it.

    `stored`: each, stacked or flat. `renamed`: steps of a checkpoint's names that are others in memory.
    """

    module: str
    moe: dict[str, str | None]
    mlp: dict[str, str]
    stored: str
    renamed: dict[str, str]


def mixture_names(model: Any, layer: str, mixture: Mixture) -> MixtureNames:
    """The names of `mixture` in `layer`, a module's path in `model`.

    Raises UnresolvedError where a checkpoint holds it in a way that no card can say.
    """
    from levgen.runtime.checkpoints.from_torch import checkpoint_names

    bank, expert, router, shared = mixture.bank, mixture.experts.expert, mixture.router, mixture.shared
    inside = f"{layer}.{bank.name}" if bank.name else layer
    own = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    saved = {n: t for n, t in checkpoint_names(model, own).items() if n.startswith(f"{layer}.")}
    by_data = {tensor.data_ptr(): name for name, tensor in saved.items()}

    def in_file(tensor: str) -> str:
        """The name below the layer in a checkpoint, of a tensor beside the experts'."""
        found = by_data.get(own[f"{inside}.{tensor}"].data_ptr())
        if found is None:
            raise UnresolvedError(_QUESTION, f"{tensor} is stored as other tensors", bank.module)
        return found.removeprefix(f"{layer}.")

    def weight_of(tensor: str) -> str:
        found = in_file(tensor)
        if not found.endswith(".weight"):
            raise UnresolvedError(_QUESTION, f"{tensor} is stored as {found}, no weight of a module", bank.module)
        return found.removesuffix(".weight")

    whole: dict[str, str] = {"router": weight_of(router.weight)}
    if router.bias is not None and in_file(router.bias) != f"{whole['router']}.bias":
        raise UnresolvedError(_QUESTION, f"the router's bias is stored as {in_file(router.bias)}", bank.module)
    if router.correction is not None:
        whole["correction_bias"] = in_file(router.correction)
    stored, holder, roles = _stored(saved, layer, mixture)
    mlp: dict[str, str] = {}
    if shared is not None:
        inner = {role: weight_of(getattr(shared, role)) for role in ("gate", "up", "down")}
        whole["shared"] = _above(inner.values())
        mlp = {role: name.removeprefix(f"{whole['shared']}.") for role, name in inner.items()}
        if shared.through is not None:
            whole["shared_gate"] = weight_of(shared.through)
    after = [] if bank.norm is None else [f"{bank.norm.name}.{n}" for n, _ in bank.norm.module.named_parameters()]
    module = _above([*whole.values(), f"{holder}.x"])
    pairs = [(module, bank.name)] if module and bank.name else []
    pairs += [(in_file(name), f"{bank.name}.{name}") for name in (*bank.others, *after)]
    if stored == "flat":
        pairs += [(f"{holder}.{name}", f"{bank.name}.{bank.holder}.{name}") for name in roles.values()]
    elif stored == "stacked" or bank.stacked:
        in_memory = {"gate_up": expert.gate_up[0], "down": expert.down}
        for role, name in in_memory.items():
            path = f"{bank.name}.{bank.holder}.{name}" if bank.holder else f"{bank.name}.{name}"
            pairs.append((f"{holder}.{_IN_MEMORY[role]}", path))
    renamed = _renamings(pairs)
    below = {role: _below(name, module) for role, name in whole.items()}
    moe: dict[str, str | None] = {"router": below.pop("router")}
    moe |= {role: name for role, name in below.items() if role == "correction_bias"}
    moe |= {"experts": _below(holder, module) or None, **roles}
    moe |= {role: name for role, name in below.items() if role != "correction_bias"}
    return MixtureNames(module, moe, mlp, stored, renamed)


def _stored(saved: Mapping[str, Any], layer: str, mixture: Mixture) -> tuple[str, str, dict[str, str]]:
    """(each, stacked or flat, what holds them, role -> name below that) of the experts' tensors in a checkpoint."""
    import torch

    bank, expert = mixture.bank, mixture.experts.expert

    def named(tensor: Any) -> list[str]:
        same = [n for n, t in saved.items() if t.shape == tensor.shape and torch.equal(t.to(tensor.dtype), tensor)]
        return [name.removeprefix(f"{layer}.") for name in same]

    if bank.flat:
        tensors = dict(zip(("gate", "up"), expert.gate_up, strict=True)) | {"down": expert.down}
        rows = {role: named(torch.cat(list(bank.tensors[name]))) for role, name in tensors.items()}
        if any(len(one) != 1 for one in rows.values()) or (expert.transposed, expert.down_transposed) != _FLAT:
            raise UnresolvedError(_QUESTION, f"rows of all experts are stored as {rows}: {expert}", bank.module)
        holder = _above(one[0] for one in rows.values())
        return "flat", holder, {role: one[0].removeprefix(f"{holder}.") for role, one in rows.items()}
    if expert.transposed != expert.down_transposed:
        raise UnresolvedError(_QUESTION, f"one map lies otherwise than another: {expert}", bank.module)
    stacked = {"down": torch.stack(list(bank.tensors[expert.down]))}
    if len(expert.gate_up) == 1:
        stacked["gate_up"] = torch.stack(list(bank.tensors[expert.gate_up[0]]))
    found = {role: named(tensor) for role, tensor in stacked.items()}
    if all(len(names) == 1 for names in found.values()) and "gate_up" in found:
        paths = {role: found[role][0] for role in ("gate_up", "down")}
        holder = _above(paths.values())
        return "stacked", holder, {role: name.removeprefix(f"{holder}.") for role, name in paths.items()}
    names: dict[int, dict[str, str]] = {}
    for index in range(bank.count):
        for role, tensor in _pieces(mixture, index).items():
            places = named(tensor)
            if len(places) != 1 or f".{index}." not in places[0] or not places[0].endswith(".weight"):
                raise UnresolvedError(_QUESTION, f"{role} of expert {index} is stored as {places}", bank.module)
            names.setdefault(index, {})[role] = places[0]
    split = {i: {r: n.partition(f".{i}.") for r, n in own.items()} for i, own in names.items()}
    holders = {parts[0] for own in split.values() for parts in own.values()}
    roles = [{role: parts[2].removesuffix(".weight") for role, parts in own.items()} for own in split.values()]
    if len(holders) != 1 or any(own != roles[0] for own in roles):
        raise UnresolvedError(_QUESTION, f"experts lie in {sorted(holders)}, as {roles[:2]}", bank.module)
    return "each", holders.pop(), roles[0]


def _pieces(mixture: Mixture, index: int) -> dict[str, Any]:
    """gate, up and down of one expert, {out, in} each."""
    bank, expert = mixture.bank, mixture.experts.expert
    maps = [bank.tensors[name][index] for name in expert.gate_up]
    maps = [m.T if expert.transposed else m for m in maps]
    if len(maps) == 1:
        (both,) = maps
        w = expert.width
        maps = [both[0::2], both[1::2]] if expert.interleaved else [both[:w], both[w:]]
    gate, up = maps if expert.gate_first else maps[::-1]
    down = bank.tensors[expert.down][index]
    return {"gate": gate, "up": up, "down": down.T if expert.transposed else down}


def _renamings(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Steps of names in files -> steps in memory, longer ones first. Raises UnresolvedError where none are enough."""
    found: dict[str, str] = {}
    for theirs, own in pairs:
        if _renamed(theirs, _longest_first(found)) != own:
            fitting = [(a, b) for a, b in _shortened(theirs, own) if all(_agrees(a, b, *pair) for pair in pairs)]
            before, after = fitting[-1] if fitting else (theirs, own)
            found[before] = after
    ordered = _longest_first(found)
    for theirs, own in pairs:
        if _renamed(theirs, ordered) != own:
            observed = f"{theirs} is {own} in memory, and others are renamed otherwise: {ordered}"
            raise UnresolvedError(_QUESTION, observed)
    return ordered


def _shortened(theirs: str, own: str) -> Iterator[tuple[str, str]]:
    """Two names without the steps at their ends that they share, one step less each time."""
    a, b = theirs.split("."), own.split(".")
    yield theirs, own
    while len(a) > 1 and len(b) > 1 and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
        yield ".".join(a), ".".join(b)


def _agrees(before: str, after: str, theirs: str, own: str) -> bool:
    """Whether a renaming does a name in a file no harm: it doesn't occur in it, or gives its beginning in memory."""
    return f".{before}." not in f".{theirs}." or _renamed(theirs, {before: after}) == own


def _longest_first(renamed: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(renamed.items(), key=lambda item: -item[0].count(".")))


def _renamed(name: str, renamed: Mapping[str, str]) -> str:
    steps = f".{name}."
    for before, after in renamed.items():
        steps = steps.replace(f".{before}.", f".{after}.")
    return steps.strip(".")


def _above(names: Any) -> str:
    """The dotted path that all of `names` lie below."""
    shared: list[str] = []
    for steps in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return ".".join(shared)


def _below(name: str, module: str) -> str:
    return "" if name == module else name.removeprefix(f"{module}.")


def fresh_weights(mixture: Mixture, layer: str) -> Iterator[tuple[str, str]]:
    """(role, name of a parameter in the model) of all that a mixture draws when it is fresh."""
    bank, router, shared = mixture.bank, mixture.router, mixture.shared
    inside = f"{layer}.{bank.name}"
    held = f"{inside}.{bank.holder}" if bank.holder else inside
    held = held if bank.stacked else f"{held}.0"
    yield "router", f"{inside}.{router.weight}"
    yield "experts_up", f"{held}.{mixture.experts.expert.gate_up[-1]}"
    yield "experts_down", f"{held}.{mixture.experts.expert.down}"
    if shared is not None:
        yield "shared_up", f"{inside}.{shared.up}"
