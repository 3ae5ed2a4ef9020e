"""A survey from beginning to end: reference, trials, field map, architecture, and the rebuilt model as the judge."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError
from levgen.reference.find import Found, find_folder, find_type
from levgen.reference.randomize import token_ids
from levgen.reference.sizing.values import VOCAB, is_int
from levgen.reference.tiny import Tiny, tiny
from levgen.survey.assembly.architecture import assemble
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.fields import map_fields
from levgen.survey.config.lists import sees_nothing
from levgen.survey.config.settle import settle
from levgen.survey.config.trials import Trials, alter_every_field, begin, seen_from_outside, takes_away
from levgen.survey.evidence import Evidence, Unknown, UnresolvedError, broke_off
from levgen.survey.mixture.balance import find_balance
from levgen.survey.mixture.stepped import find_numbered, find_stepped
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.port import load_port, unlike_at_full_size
from levgen.survey.questions.initialization import find_initialization
from levgen.survey.questions.score_scaling import find_score_scaling
from levgen.survey.questions.uneven import find_uneven
from levgen.survey.questions.vocabulary import find_vocabulary
from levgen.survey.rebuild import Rebuilt, rebuild
from levgen.survey.report import Survey
from levgen.survey.unknown.holes import evidence_around, find_holes
from levgen.survey.unknown.inside import Inside, fields_inside
from levgen.survey.unknown.inside_weights import weights_inside
from levgen.survey.unknown.plugs import Plugs


def survey(model_type: str) -> Survey:
    """What the causal language model of `model_type` in transformers is, found by experiment.

    Raises LevgenError where transformers has no such type. Imports torch and transformers.
    """
    return survey_found(find_type(model_type))


def survey_folder(folder: Path, *, trust_remote_code: bool = False) -> Survey:
    """The same for a folder with a `config.json`, whose own code runs only with `trust_remote_code`."""
    return survey_found(find_folder(folder, trust_remote_code=trust_remote_code))


def survey_found(found: Found, *, around: bool = True) -> Survey:
    """The survey of an implementation. What fails on the way is unknown, with the check that failed.

    `around`: where that lies in one module of each layer, go on around it (`Survey.stubbed`).
    """
    from levgen.scaffold.complete import complete

    start = time.monotonic()
    evidence: list[Evidence] = []
    unknown: list[Unknown] = []
    errors: tuple[float, ...] = ()
    gradient: float | None = None
    architecture: Architecture | None = None
    plugs: Plugs | None = None
    try:
        trials, plugs = _begin(tiny(found), unknown, around=around)
        evidence += trials.structure.evidence if plugs is None else evidence_around(plugs, trials.structure)
        alter_every_field(trials)
        fields = map_fields(trials)
        find_score_scaling(trials, fields)
        find_numbered(trials, fields)
        find_stepped(trials, fields)
        settle(trials, fields)
        find_vocabulary(trials, fields)
        find_uneven(trials, fields)
        inside = Inside() if plugs is None else Inside(fields_inside(trials, fields))
        balance = find_balance(trials, fields)
        init = find_initialization(trials, fields)
        if plugs is not None:
            for hole in plugs.holes:
                weights_inside(trials, fields, hole, plugs, inside)
        evidence += fields.evidence
        unknown += fields.unknown
        assembled = assemble(trials, fields, init, inside, balance)
        port = load_port(complete(assembled))
        rebuilt = _rebuilt(assembled, port, trials, fields)
        errors = tuple(one.logits for one in rebuilt)
        gradient = rebuilt[0].gradients
        differing = [one for one in rebuilt if not one.holds]
        unknown += [Unknown("the rebuilt model", _failure(one)) for one in differing]
        unlike = unlike_at_full_size(assembled, port, found)
        if unlike:
            more = f", and {len(unlike) - 1} more" if len(unlike) > 1 else ""
            unknown.append(Unknown("the rebuilt model", f"at the config class's defaults: {unlike[0]}{more}"))
        if not differing and not unlike:
            architecture = assembled
    except UnresolvedError as error:
        unknown.append(error.unknown)
    except LevgenError as error:
        unknown.append(Unknown("what a card can hold", error.message))
    except Exception as error:
        unknown.append(broke_off(error))
    inner = {hole.unknown for hole in plugs.holes} if plugs is not None else set()
    blocking = [u for u in unknown if u.question != "initialisation" and u not in inner]
    settled = None if blocking else architecture
    return Survey(
        found.model_type,
        settled if plugs is None else None,
        tuple(evidence),
        tuple(unknown),
        errors,
        gradient,
        time.monotonic() - start,
        stubbed=None if plugs is None else settled,
    )


def _begin(reference: Tiny, unknown: list[Unknown], *, around: bool) -> tuple[Trials, Plugs | None]:
    """The base of all trials; where its structure isn't understood, that of the reference with the holes plugged.

    Notes in `unknown` what is unknown then. Raises UnresolvedError where it is nothing that could be plugged.
    """
    try:
        return begin(reference), None
    except UnresolvedError:
        plugs = find_holes(reference) if around else None
        if plugs is None:
            raise
    unknown += [hole.unknown for hole in plugs.holes]
    return begin(replace(reference, plugs=plugs)), plugs


def _rebuilt(architecture: Architecture, port: Any, trials: Trials, fields: FieldMap) -> list[Rebuilt]:
    """The model rebuilt in the tiny config, gradients too, and in one where every mapped field has another value.

    Modules that are unknown are stood in for by the reference's own: it is compared as it is, with nothing plugged.
    """
    reference = replace(trials.tiny, plugs=None)
    varied = _varied(trials, fields)
    base = rebuild(architecture, port, reference, {}, gradients=True)
    return [base, *([rebuild(architecture, port, reference, varied, gradients=False)] if varied else [])]


def _varied(trials: Trials, fields: FieldMap) -> dict[str, Any]:
    """As many mapped fields off the tiny config's values as build together, and run in the fp32 that is compared."""
    kept: dict[str, Any] = {}
    real = trials if trials.tiny.plugs is None else seen_from_outside(trials, replace(trials.tiny, plugs=None))
    # A list by layer says how many layers there are, and one of thetas repeats the rotation's: a port refuses others.
    said = {fields.sizes.get("num_layers")} if fields.lists else set()
    if "layer_thetas" in fields.lists:
        said.add(fields.rope)
    said |= {hf for hf in fields.derived if is_int(trials.base.values[hf])}  # a number goes with the sizes it follows
    held = {*fields.mapped(), *fields.derived} & trials.fields.keys()
    window, types = fields.sizes.get("sliding_window", ""), fields.lists.get("layer_types", "")
    for hf in sorted(held - said, key=list(trials.fields).index):
        own = [trial for trial in trials.of(hf) if trial.measures is not None and trial.changes[hf] is not None]
        own.sort(key=lambda trial: takes_away(trials, trial))  # what else there is to compare stays
        for changes in ({**kept, **trial.changes} for trial in own):
            trial = real.attempt(changes, examine=False)
            if trial is None or sees_nothing(*(trial.values.get(hf) for hf in (window, types))):
                continue
            if _runs_in_float32(real.tiny, changes):
                kept = changes
                break
    # What another field decides goes with it, as far as the config class leaves that to whoever writes a config.
    for hf, other in fields.derived.items():
        if other in kept and real.attempt({**kept, hf: kept[other]}, examine=False) is not None:
            kept[hf] = kept[other]
    return kept


def _runs_in_float32(tiny: Tiny, changes: Mapping[str, Any]) -> bool:
    """A reference may lay tensors out otherwise in fp32, and refuse sizes that it takes in fp64."""
    import torch

    if tiny.dtype == "float32":
        return True
    try:
        with torch.no_grad():
            tiny.build(dtype="float32", random=False, **changes)(token_ids(VOCAB, LENGTH))
    except Exception:  # whatever a reference refuses a size with
        return False
    return True


def _failure(rebuilt: Rebuilt) -> str:
    where = f"the tiny config with {rebuilt.changes}" if rebuilt.changes else "the tiny config"
    where += f" at {rebuilt.length} positions"
    gradients = "" if rebuilt.gradients is None else f", gradients {rebuilt.gradients:.1e}"
    dead = f", parameters without effect: {', '.join(rebuilt.dead)}" if rebuilt.dead else ""
    return f"in {where}: logits off by {rebuilt.logits:.1e}{gradients}{dead}"
