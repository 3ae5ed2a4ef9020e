"""Completing an architecture: exactly the hyperparameters that its parts need, with values that fit together."""

import dataclasses
from typing import Any

from levgen.architecture.schema import Architecture, Hyperparameter
from levgen.errors import LevgenError, did_you_mean
from levgen.scaffold.parts import HyperparameterSpec, needed_hyperparameters

_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "tuple[str, ...]": (tuple,),
    "tuple[int, ...]": (tuple,),
    "tuple[float, ...]": (tuple,),
    "tuple[tuple[tuple[str, ...], int], ...]": (tuple,),
    "Rotary": (dict,),
}
# Values that an answer may name although no config field holds them.
DERIVED = {"head_dim"}


def complete(architecture: Architecture) -> Architecture:
    """`architecture` with the missing hyperparameters at their parts' defaults and the unneeded ones dropped.

    Raises LevgenError where an answer names a hyperparameter that doesn't exist, and where values don't fit together.
    """
    specs = needed_hyperparameters(architecture)
    own = architecture.hyperparameters
    wanted = dict.fromkeys(name for name in own if name in specs)
    for answer, name in architecture.factors():
        if name in DERIVED or name in specs:
            continue
        if name not in own:
            hint = did_you_mean(name, {*own, *specs})
            raise LevgenError(f"{answer} names the hyperparameter {name!r}, which the architecture doesn't have", hint)
        wanted[name] = None
    wanted |= dict.fromkeys(name for unknown in architecture.unknown.values() for name in unknown.reads)
    kept = {name: own[name] for name in own if name in wanted}
    layers = own["num_layers"].default if "num_layers" in own else specs["num_layers"].default
    added = {name: Hyperparameter(default=_default(spec, layers)) for name, spec in specs.items() if name not in kept}
    completed = architecture.changed(hyperparameters=kept | added)
    if added and completed.reference is not None and set(added) - {"head_dim"}:
        completed = completed.changed(reference=None)
    _check_values(completed, specs)
    return completed


def _default(spec: HyperparameterSpec, layers: Any) -> Any:
    """What a missing hyperparameter is: a list by layer repeats its period over the layers."""
    if not spec.by_layer:
        return _frozen(spec.default)
    return tuple(spec.default[i % len(spec.default)] for i in range(layers if isinstance(layers, int) else 1))


def _frozen(value: Any) -> Any:
    """A default as a config holds it: lists are tuples."""
    return tuple(_frozen(entry) for entry in value) if isinstance(value, list) else value


def hyperparameter_type(name: str, parameter: Hyperparameter, specs: dict[str, HyperparameterSpec]) -> str:
    """The annotation of a hyperparameter in the generated config."""
    value = parameter.default
    if name in specs:
        kind = specs[name].type
    else:
        example = parameter.tiny if value is None else value
        kind = {"NoneType": "float", "dict": "Rotary"}.get(type(example).__name__, type(example).__name__)
    return f"{kind} | None" if parameter.optional else kind


def _check_values(architecture: Architecture, specs: dict[str, HyperparameterSpec]) -> None:
    """Raises LevgenError with every hyperparameter whose value has the wrong type or doesn't fit another."""
    values = {name: parameter.default for name, parameter in architecture.hyperparameters.items()}
    problems = [
        problem
        for name, parameter in architecture.hyperparameters.items()
        if not (parameter.optional and parameter.default is None)
        if (problem := _type_problem(name, parameter.default, specs.get(name))) is not None
    ]
    if not problems:
        problems = list(_size_problems(architecture, values, specs))
    if problems:
        raise LevgenError("the hyperparameters don't fit:\n" + "\n".join(f"  {problem}" for problem in problems))


def _type_problem(name: str, value: Any, spec: HyperparameterSpec | None) -> str | None:
    if spec is None and isinstance(value, dict):
        return _rotary_problem(name, value)
    if spec is None:
        known = isinstance(value, bool | int | float)
        return None if known else f"{name}: expected a number or a boolean, got {value!r}"
    if spec.choices and value not in spec.choices:
        hint = did_you_mean(str(value), spec.choices) or f"known: {', '.join(spec.choices)}"
        return f"{name}: {value!r} is not known; {hint}"
    if not isinstance(value, _TYPES[spec.type]) or (spec.type != "bool" and isinstance(value, bool)):
        return f"{name}: expected {spec.type}, got {value!r}"
    if isinstance(value, dict):
        return _rotary_problem(name, value)
    if isinstance(value, int) and not isinstance(value, bool) and not spec.least <= value < 2**31:
        allowed = "a positive number below 2**31" if spec.least == 1 else f"a number from {spec.least} to 2**31"
        return f"{name}: expected {allowed}, got {value}"
    return None


def _rotary_problem(name: str, value: dict[str, Any]) -> str | None:
    if set(value) == {"theta"} and isinstance(value["theta"], float | int) and value["theta"] > 0:
        return None
    # Importing the runtime takes seconds: only a rotation that is out of the ordinary pays them.
    from levgen.runtime.rotary import Rotary

    known = [field.name for field in dataclasses.fields(Rotary)]
    for key in value:
        if key not in known:
            return f"{name}.{key}: no such parameter; {did_you_mean(key, known) or 'known: ' + ', '.join(known)}"
    try:
        Rotary(**value)
    except LevgenError as error:
        return f"{name}: {error.message}"
    except TypeError as error:
        return f"{name}: {error}"
    return None


def _size_problems(
    architecture: Architecture, values: dict[str, Any], specs: dict[str, HyperparameterSpec]
) -> list[str]:
    problems = []
    hidden = values["hidden_dim"]
    heads = values.get("num_heads", 1)  # unknown attention may have none
    kv_heads = values.get("num_kv_heads", heads)
    if heads % kv_heads:
        problems.append(f"num_heads ({heads}) must be a multiple of num_kv_heads ({kv_heads})")
    local = kv_heads * architecture.attention.local_kv_multiple
    if local != kv_heads and heads % local:
        problems.append(f"num_heads ({heads}) must be a multiple of the {local} key heads in layers with a window")
    if architecture.attention.projections == "blocks" and heads % 4:
        problems.append(f"num_heads ({heads}) must be a multiple of 4, the number of blocks")
    width = values.get("intermediate_dim", 0)
    if architecture.mlp.joint_width and width % 2:
        problems.append(f"intermediate_dim ({width}) must be even: gate and up have half of it each")
    for answer, counted in (
        ("mlp.multiple", architecture.mlp.multiple),
        ("positions.rotary_dim", architecture.positions.rotary_dim),
        ("moe.shared_multiple", architecture.moe.shared_multiple),
    ):
        if isinstance(counted, str) and type(values.get(counted)) is not int:
            problems.append(f"{answer} names {counted} ({values.get(counted)}), which is no whole number")
    for name, value in values.items():
        if name in specs and specs[name].by_layer and len(value) != values["num_layers"]:
            problems.append(f"{name} describes {len(value)} layers, and num_layers is {values['num_layers']}")
    problems += _expert_problems(values)
    latent = architecture.attention.heads == "latent"
    if not latent and "head_dim" not in values and hidden % heads:
        problems.append(f"hidden_dim ({hidden}) must be a multiple of num_heads ({heads})")
    if "index_head_dim" in values and values["index_head_dim"] < values["qk_rope_head_dim"]:
        problems.append(
            f"index_head_dim ({values['index_head_dim']}) must be at least qk_rope_head_dim "
            f"({values['qk_rope_head_dim']}), the part that turns"
        )
    head_dim = values["qk_rope_head_dim"] if latent else values.get("head_dim", hidden // heads)
    turning = values.get(architecture.positions.rotary_dim or "")
    if isinstance(turning, int) and (turning % 2 or turning > head_dim):
        problems.append(f"{architecture.positions.rotary_dim} ({turning}) must be even, and at most {head_dim}")
    if architecture.positions.kind == "rotary" and head_dim % 2:
        turned = "qk_rope_head_dim" if latent else "the width of a head"
        problems.append(f"{turned} ({head_dim}) must be even, since positions are rotary")
    return problems


def _expert_problems(values: dict[str, Any]) -> list[str]:
    experts, chosen = values.get("num_experts", 1), values.get("num_experts_per_tok", 1)
    groups, kept = (values.get(name) or 1 for name in ("num_expert_groups", "num_kept_groups"))
    if chosen > experts:
        return [f"num_experts_per_tok ({chosen}) must be at most num_experts ({experts})"]
    if experts % groups or kept > groups:
        return [f"num_experts ({experts}) must be a multiple of num_expert_groups ({groups}), of which {kept} are kept"]
    if chosen > kept * (experts // groups):
        return [f"num_experts_per_tok ({chosen}) must fit into {kept} of {groups} groups of {experts} experts"]
    return []
