"""Which module plays which role, by the reference's names and by those of its checkpoints."""

from collections.abc import Iterable, Mapping
from typing import Any

from levgen.reference.record import nth_call
from levgen.survey.config.indexer_measures import indexer_names
from levgen.survey.config.norm_gate_measures import norm_gate_names
from levgen.survey.evidence import UnresolvedError
from levgen.survey.mixture.whole import Mixture
from levgen.survey.questions.channels import Roles
from levgen.survey.questions.dataflow import source_of_norm
from levgen.survey.structure import LayerFindings, Structure

Names = Mapping[str, Mapping[str, str | None]]


def checkpoint_roles(model: Any, names: Names, aside: str | None = None) -> dict[str, dict[str, str | None]]:
    """`names` as `save_pretrained` writes them. Raises UnresolvedError where a checkpoint holds other tensors.

    `aside`: a module in layers, of which others say how it is stored.
    """
    from levgen.runtime.checkpoints.from_torch import checkpoint_names

    # Copies: tensors that are tied have names of their own too.
    own = {name: p.detach().clone() for name, p in model.named_parameters(remove_duplicate=False)}
    saved = checkpoint_names(model, own)
    by_data = {tensor.data_ptr(): name for name, tensor in saved.items()}
    missing = [name for name, parameter in own.items() if parameter.data_ptr() not in by_data]
    if aside is not None:
        within = f"{names['transformer']['layers']}."
        missing = [n for n in missing if not n.removeprefix(within).partition(".")[2].startswith(f"{aside}.")]
    if missing:
        raise UnresolvedError("names in a checkpoint", f"{missing[:3]} are stored as other tensors", model)

    def renamed(module: str) -> str:
        if module in own:  # a parameter, not a module
            return by_data[own[module].data_ptr()]
        first = next((name for name in own if name.startswith(f"{module}.")), None)
        if first is None:  # a norm without parameters has no name in a checkpoint
            return module
        rest = first.removeprefix(module)
        found = by_data[own[first].data_ptr()]
        if not found.endswith(rest):
            raise UnresolvedError("names in a checkpoint", f"{first} is stored as {found}", model)
        return found.removesuffix(rest)

    layers = names["transformer"]["layers"]
    blocks = [part for part in ("attention", "mlp") if part in names]  # no MLP where every layer has experts

    def in_layer_0(*below: str | None) -> str:
        """The name of what lies below a layer, told by the first layer that has it."""
        rest = ".".join(step for step in below if step)
        count = len(model.get_submodule(layers))
        held = [i for i in range(count) if any(f"{name}.".startswith(f"{layers}.{i}.{rest}.") for name in own)]
        index = held[0] if held else 0
        return renamed(f"{layers}.{index}.{rest}").replace(f".{index}.", ".0.", 1)

    outer = names["decoder_layer"]
    # Where a layer's experts have an MLP beside them, that is the one with names of its own here.
    homes = {"attention": "attention", "mlp": "shared" if "shared" in outer else "mlp"}
    prefix = {part: outer[home] for part, home in homes.items() if home in outer}
    gated = names["decoder_layer"][_norm_with_gate(own, names)] if "gated_norm" in names else None
    whole: dict[str, dict[str, str]] = {"decoder_layer": {}}
    for part, roles in names.items():
        for role, name in roles.items():
            if part == "gated_norm":
                path = in_layer_0(gated, name)
            elif part == "indexer":
                path = in_layer_0(prefix["attention"], names["attention"]["indexer"], name)
            elif part in ("attention", "mlp"):
                path = in_layer_0(prefix[part], name)
            elif part == "decoder_layer":
                if role in ("attention", "mlp", "shared"):
                    continue
                path = in_layer_0(name)
            elif role == "layers":
                continue
            else:
                path = renamed(str(name))
            whole.setdefault(part, {})[role] = path
    inside = [path for part in (*blocks, "decoder_layer") for path in whole[part].values()]
    stack = _prefix(inside).partition(".0")[0]
    for part in (*blocks, "decoder_layer"):
        whole[part] = {role: path.removeprefix(f"{stack}.0.") for role, path in whole[part].items()}
    made = {part: dict(roles) for part, roles in whole.items() if part not in ("attention", "mlp")}
    result: dict[str, dict[str, str | None]] = {part: {**roles} for part, roles in made.items()}
    result["transformer"] = {"layers": stack, **result.get("transformer", {})}
    for part in blocks:
        below = _prefix(whole[part].values())
        result["decoder_layer"][homes[part]] = below or None
        result[part] = _below(whole[part], below)
    if gated is not None:
        above = f"{stack}.0.{result['decoder_layer'][_norm_with_gate(own, names)]}"
        result["gated_norm"] = _below(whole["gated_norm"], above)
    if "indexer" in names:
        above = ".".join(step for step in (f"{stack}.0", result["decoder_layer"]["attention"]) if step)
        result["indexer"] = _below(whole["indexer"], f"{above}.{result['attention']['indexer']}")
    return result


def _norm_with_gate(parameters: Iterable[str], names: Names) -> str:
    """The role of a norm of layers that has a gate, by the names of all parameters."""
    roles, down = names["decoder_layer"], names["gated_norm"]["down"]
    held = [role for role, name in roles.items() if any(f".{name}.{down}." in other for other in parameters)]
    return held[0]


def check_parameter_names(leaves: Mapping[str, Any]) -> None:
    """Raises UnresolvedError where a module's parameters are not called weight and bias, as a card has them."""
    for name, leaf in leaves.items():
        for role in ("weight", "bias"):
            own = getattr(leaf, role, None)
            if own is not None and own != role:
                raise UnresolvedError(
                    "names of parameters", f"the {role} of {name} is called {own}; a card names modules only"
                )


def module_roles(structure: Structure, layer: LayerFindings) -> dict[str, dict[str, str | None]]:
    """Part -> role -> module of the reference."""
    flow, roles, block, anatomy = layer.dataflow, layer.roles, layer.block, layer.anatomy
    attention = latent_names(roles)
    for leaf in roles.core.sources if roles.latent is None else ():
        found = source_of_norm(anatomy, leaf)
        kinds = {place[0] for place in roles.places[leaf]} - {"-"}
        role = kinds.pop() if len(kinds) == 1 else "qkv"
        if found is not None:
            if nth_call(leaf) is None:  # one of several calls of a module has no name, and needs none
                attention[f"{role}_norm"] = leaf
            leaf = found[0]
        attention["qkv" if roles.order != "separate" else role] = leaf
    if layer.gate is not None and layer.gate.columns is None:
        attention["gate"] = layer.gate.leaf
        if layer.gate.bias is not None:
            attention["gate_bias"] = layer.gate.bias
    attention["o"] = flow.attention_output
    if flow.attention_core.target != flow.attention_output:
        attention["inner_norm"] = flow.attention_core.target
    if layer.scores.sinks is not None:
        attention["sinks"] = layer.scores.sinks
    if layer.indexer is not None:
        attention["indexer"] = layer.indexer.name
    mlp = _mlp_names(layer)
    attention_prefix, mlp_prefix = _prefix(attention.values()), _prefix(mlp.values())
    blocks = {} if block is None else {"mlp": mlp_prefix or None}
    if isinstance(block, Mixture):
        blocks = {"mlp": block.bank.name, **({"shared": mlp_prefix or None} if mlp else {})}
    embeddings = {
        "token": structure.embeddings.token,
        "position": structure.embeddings.position,
        "norm": structure.embeddings.norm,
    }
    transform = structure.head.transform
    added = {} if flow.added_bias is None else {"added_bias": flow.added_bias}
    if isinstance(block, Mixture) and block.bank.norm is not None:
        added["mlp_output_norm"] = f"{block.bank.name}.{block.bank.norm.name}"
    return {
        "embeddings": _named(**embeddings),
        "transformer": _named(layers=structure.chain.name, norm=structure.head.norm),
        "decoder_layer": {
            "attention": attention_prefix or None,
            **blocks,
            **flow.norm_roles,
            **added,
        },
        "attention": _below(attention, attention_prefix),
        **({} if layer.indexer is None else {"indexer": indexer_names(layer.indexer)}),
        **({"gated_norm": gated} if (gated := norm_gate_names(layer)) else {}),
        **({"mlp": _below(mlp, mlp_prefix)} if mlp else {}),
        **({} if transform is None else {"head_transform": _named(dense=transform.dense, norm=transform.norm)}),
        "lm_head": {"head": structure.head.head},
    }


def _mlp_names(layer: LayerFindings) -> dict[str, str]:
    """Role -> module of a layer's MLP, or of the one beside its experts; nothing where there is none."""
    flow, block = layer.dataflow, layer.dense
    beside = flow.beside
    core, output = (flow.mlp_core, flow.mlp_output) if beside is None else (beside.core, beside.output)
    if block is None or core is None or output is None:
        return {}
    mlp = {"up": block.up, "down": output}
    if block.gate is not None:
        mlp = {"gate": block.gate, **mlp} if block.projections == "separate" else {"gate_up": block.up, "down": output}
    if block.act is not None:
        mlp["act"] = block.act
    if core.target != output:
        mlp["inner_norm"] = core.target
    return mlp


def latent_names(roles: Roles) -> dict[str, str]:
    """Role -> module of the projections and norms of latent attention; nothing for other kinds."""
    if roles.latent is None:
        return {}
    keys, queries = roles.latent.keys, roles.latent.queries
    (query,) = (leaf for leaf in roles.core.sources if leaf not in (keys.up, keys.down))
    names = {"q": query}
    if queries is not None:
        names = {"q_a": queries.down, "q_a_norm": queries.norm, "q_b": queries.up}
    return {**names, "kv_a": keys.down, "kv_a_norm": keys.norm, "kv_b": keys.up}


def _named(**names: str | None) -> dict[str, str | None]:
    """The roles that something plays."""
    return {role: name for role, name in names.items() if name is not None}


def _prefix(names: Iterable[str]) -> str:
    """The dotted path that all of `names` lie below."""
    shared = []
    for steps in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return ".".join(shared)


def _below(names: Mapping[str, str], prefix: str) -> dict[str, str | None]:
    return {role: name.removeprefix(f"{prefix}.") if prefix else name for role, name in names.items()}
