"""Putting the answers together: findings and field map -> an architecture."""

import dataclasses
from typing import Any, get_args

from levgen.architecture.card import parse_card
from levgen.architecture.schema import Architecture, RopeKind
from levgen.reference.find import Found
from levgen.scaffold.complete import DERIVED
from levgen.scaffold.parts import needed_hyperparameters
from levgen.survey.assembly.answers import (
    attention_of,
    head_transform_of,
    mixer_type,
    mlp_of,
    norm_gate_of,
    norm_of,
    positions_of,
    scale,
    sums_of,
)
from levgen.survey.assembly.hyperparameters import hyperparameters_of
from levgen.survey.assembly.names import of_transformers
from levgen.survey.assembly.rotation import scales_queries
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.measures import Measures
from levgen.survey.config.rope_kinds import rope_kinds
from levgen.survey.config.trials import Trials, value_at
from levgen.survey.evidence import UnresolvedError
from levgen.survey.mixture.balance import Balance
from levgen.survey.mixture.card import find_mixture_names, moe_answers, shared_may_be_absent
from levgen.survey.mixture.names import MixtureNames
from levgen.survey.names import checkpoint_roles
from levgen.survey.questions.initialization import Initialization
from levgen.survey.unknown.inside import Inside
from levgen.survey.unknown.plugs import Plugs


def assemble(
    trials: Trials,
    found: FieldMap,
    init: Initialization,
    inside: Inside | None = None,
    balance: Balance | None = None,
) -> Architecture:
    """The architecture that the findings make up. Raises UnresolvedError where they don't, and LevgenError where the
    schema can't hold them.

    `inside`: what is known of modules that are unknown, and that were plugged in `trials`. `balance`: of routers.
    """
    measures = trials.base.measures
    assert measures is not None
    reference = trials.tiny.found
    inside = inside or Inside()
    experts = find_mixture_names(trials.structure)
    moe = None
    if experts is not None:
        others = [trial.measures for trial in trials.examined if trial.measures is not None]
        factors = scale(found, "moe_scale", 1.0), scale(found, "moe_norm_order", None)
        moe = moe_answers(found, measures, others, experts, balance, *factors)
        moe["shared_optional"] = shared_may_be_absent(trials, found)
    hyperparameters = hyperparameters_of(trials, found, measures, inside)
    if balance is not None:
        # A fresh config trains its routers to be in balance, whatever the reference's says.
        hyperparameters["load_balancing"] = {"default": True, "hf": balance.switch}
        coefficient = {"default": trials.fields[balance.coefficient], "hf": balance.coefficient}
        hyperparameters["router_aux_loss_coef"] = coefficient
    aside = None if experts is None else measures.names["decoder_layer"]["mlp"]
    names = checkpoint_roles(trials.structure.model, measures.names, aside)
    if "q_lora_rank" in found.sizes and "optional" in hyperparameters["q_lora_rank"]:
        names["attention"] |= _names_at_other_rank(trials, found.sizes["q_lora_rank"], aside)
    if experts is not None:
        _name_experts(names, experts)
    if inside.parts:
        _name_unknown(names, trials)
    data: dict[str, Any] = {
        "title": _title(reference),
        "reference": _reference(trials, found, measures),
        "hyperparameters": hyperparameters,
        "fixed": {name: value for name, value in found.fixed.items() if name not in found.derived},
        "derived": found.derived,
        "ignored": found.ignored,
        "given": given_of(reference, found),
        "norm": norm_of(found, measures),
        "norm_gate": {} if "decoder_layer" in inside.parts else norm_gate_of(trials, measures),
        "positions": positions_of(trials, found, measures, hyperparameters),
        "attention": {}
        if {"attention", "decoder_layer"} & set(inside.parts)
        else attention_of(trials, found, measures),
        "mlp": {} if "mlp" in inside.parts or not measures.has_mlp else mlp_of(trials, found, measures, inside),
        "layer": {}
        if "decoder_layer" in inside.parts
        else {
            "norms": measures.layer_norms,
            "parallel": measures.parallel,
            "mlp": measures.has_mlp,
            "mixer": mixer_type(trials, found, measures),
            "residual_scale": scale(found, "residual_scale", 1.0),
            "sums": sums_of(trials),
            "mlp_output_norm": "sparse" if measures.moe_output_norm else "none",
            **found.in_layers,
        },
        "embeddings": {
            "scale": scale(found, "embedding_scale", 1.0),
            "norm": measures.embedding_norm,
            "extra_rows": found.extra_rows,
        },
        "head": {
            "tied": "never" if found.never_tied else "configured",
            "bias": found.switches.get("head_bias", measures.head_bias),
            "scale": scale(found, "logit_scale", 1.0),
            "softcap": scale(found, "logit_softcap", None),
            "final_norm": measures.final_norm,
        },
        "head_transform": head_transform_of(found, measures),
        "initialization": dataclasses.asdict(init),
        "names": names,
        **({} if experts is None else {"moe": moe, "renamed": experts.renamed}),
        "unknown": inside.parts,
    }
    return with_all_numbers(parse_card(data, source=f"the survey of {reference.model_type}"))


def given_of(reference: Found, found: FieldMap) -> dict[str, Any]:
    """What the config class reads and doesn't name, as far as nothing moves with it."""
    config = reference.config()
    return {path: value_at(config, path) for path in reference.given if path in found.ignored}


def with_all_numbers(architecture: Architecture) -> Architecture:
    """`architecture`; raises UnresolvedError where its parts need a number that no field of a reference's config is."""
    missing = sorted(needed_hyperparameters(architecture).keys() - architecture.hyperparameters.keys() - DERIVED)
    if missing and architecture.reference is not None:
        raise UnresolvedError("numbers of the model", f"no field of the config says what {', '.join(missing)} is")
    return architecture


def _names_at_other_rank(trials: Trials, hf: str, aside: str | None) -> dict[str, str | None]:
    """Names in attention that are there only where the rank of queries is None, or only where it is a number."""
    base = trials.base.measures
    other = next(t for t in trials.of(hf) if t.measures is not None and t.changes[hf] is None)
    assert base is not None
    assert other.measures is not None
    names = checkpoint_roles(trials.tiny.build(random=False, **other.changes), other.measures.names, aside)
    return {role: name for role, name in names["attention"].items() if role not in base.names["attention"]}


def _name_experts(names: dict[str, dict[str, str | None]], experts: MixtureNames) -> None:
    """Puts a mixture of experts into `names`, with the expert that all tokens go to as an MLP."""
    held = names["decoder_layer"].setdefault("mlp", experts.module or None)
    dense = names.get("mlp", experts.mlp)
    if held != (experts.module or None) or (experts.mlp and dense != experts.mlp):
        observed = f"{held}: {dense} without experts, {experts.module}: {experts.mlp} with"
        raise UnresolvedError("names in layers with experts", observed)
    names["moe"] = experts.moe
    if dense:
        names["mlp"] = {**dense}


def _name_unknown(names: dict[str, dict[str, str | None]], trials: Trials) -> None:
    """Takes plugs out of `names`, and puts an unknown activation into them."""
    plugs = trials.tiny.plugs
    assert isinstance(plugs, Plugs)
    for part in ("attention", "mlp"):
        if plugs.of(part) is not None:
            del names[part]
    if plugs.of("decoder_layer") is not None:
        del names["attention"], names["decoder_layer"]
    activation = plugs.of("activation")
    if activation is not None:
        above = names["decoder_layer"]["mlp"]
        names["mlp"]["act"] = activation.below.removeprefix(f"{above}.") if above else activation.below


def _title(found: Found) -> str:
    name: str = found.model_class.__name__
    for suffix in ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration"):
        name = name.removesuffix(suffix)
    return name


def _reference(trials: Trials, fields: FieldMap, measures: Measures) -> dict[str, Any] | None:
    import transformers

    if not of_transformers(trials):
        return None
    found = trials.tiny.found
    kinds: list[RopeKind] = list(get_args(RopeKind))
    if scales_queries(trials, fields):  # of the runtime's kinds of rotation, one says how queries grow
        kinds = ["yarn"]
    elif fields.rope is not None and isinstance(getattr(trials.tiny.config(), fields.rope, None), dict):
        kinds = rope_kinds(trials.tiny, fields.rope, measures.rotary_dim // 2)
    return {
        "module": found.module,
        "model": found.model_class.__name__,
        "config": found.config_class.__name__,
        "model_type": found.model_type,
        "version": transformers.__version__,
        "rope_kinds": kinds,
    }
