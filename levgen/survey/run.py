"""A survey from beginning to end: reference, trials, field map, architecture, and the rebuilt model as the judge."""

import time
from pathlib import Path
from typing import Any

from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError
from levgen.reference.find import Found, find_folder, find_type
from levgen.reference.tiny import tiny
from levgen.survey.assemble import assemble
from levgen.survey.evidence import Evidence, Unknown, UnresolvedError, broke_off
from levgen.survey.fields import FieldMap, map_fields
from levgen.survey.initialization import find_initialization
from levgen.survey.rebuild import Rebuilt, load_port, rebuild
from levgen.survey.report import Survey
from levgen.survey.settle import settle
from levgen.survey.trials import Trials, alter_every_field, begin


def survey(model_type: str) -> Survey:
    """What the causal language model of `model_type` in transformers is, found by experiment.

    Raises LevgenError where transformers has no such type. Imports torch and transformers.
    """
    return survey_found(find_type(model_type))


def survey_folder(folder: Path, *, trust_remote_code: bool = False) -> Survey:
    """The same for a folder with a `config.json`, whose own code runs only with `trust_remote_code`."""
    return survey_found(find_folder(folder, trust_remote_code=trust_remote_code))


def survey_found(found: Found) -> Survey:
    """The survey of an implementation. What fails on the way is unknown, with the check that failed."""
    start = time.monotonic()
    evidence: list[Evidence] = []
    unknown: list[Unknown] = []
    errors: tuple[float, ...] = ()
    gradient: float | None = None
    architecture: Architecture | None = None
    try:
        trials = begin(tiny(found))
        evidence += trials.structure.evidence
        alter_every_field(trials)
        fields = map_fields(trials)
        settle(trials, fields)
        init = find_initialization(trials, fields)
        evidence += fields.evidence
        unknown += fields.unknown
        assembled = assemble(trials, fields, init)
        rebuilt = _rebuilt(assembled, trials, fields)
        errors = tuple(one.logits for one in rebuilt)
        gradient = rebuilt[0].gradients
        differing = [one for one in rebuilt if not one.holds]
        unknown += [Unknown("the rebuilt model", _failure(one)) for one in differing]
        if not differing:
            architecture = assembled
    except UnresolvedError as error:
        unknown.append(error.unknown)
    except LevgenError as error:
        unknown.append(Unknown("what a card can hold", error.message))
    except Exception as error:
        unknown.append(broke_off(error))
    blocking = [u for u in unknown if u.question != "initialisation"]
    return Survey(
        found.model_type,
        None if blocking else architecture,
        tuple(evidence),
        tuple(unknown),
        errors,
        gradient,
        time.monotonic() - start,
    )


def _rebuilt(architecture: Architecture, trials: Trials, fields: FieldMap) -> list[Rebuilt]:
    """The model rebuilt in the tiny config, gradients too, and in one where every mapped field has another value."""
    from levgen.scaffold.complete import complete

    port = load_port(complete(architecture))
    base = rebuild(architecture, port, trials.tiny, {}, gradients=True)
    varied = _varied(trials, fields)
    return [base, *([rebuild(architecture, port, trials.tiny, varied, gradients=False)] if varied else [])]


def _varied(trials: Trials, fields: FieldMap) -> dict[str, Any]:
    """As many mapped fields off the tiny config's values as build together."""
    kept: dict[str, Any] = {}
    for hf in sorted({*fields.mapped(), *fields.derived}, key=list(trials.fields).index):
        if fields.lists and hf == fields.sizes.get("num_layers"):
            continue  # a list by layer would say more than there are layers, which a port refuses
        own = [trial for trial in trials.of(hf) if trial.measures is not None and trial.changes[hf] is not None]
        if own and trials.attempt({**kept, hf: own[0].changes[hf]}, examine=False) is not None:
            kept[hf] = own[0].changes[hf]
    return kept


def _failure(rebuilt: Rebuilt) -> str:
    where = f"the tiny config with {rebuilt.changes}" if rebuilt.changes else "the tiny config"
    where += f" at {rebuilt.length} positions"
    gradients = "" if rebuilt.gradients is None else f", gradients {rebuilt.gradients:.1e}"
    dead = f", parameters without effect: {', '.join(rebuilt.dead)}" if rebuilt.dead else ""
    return f"in {where}: logits off by {rebuilt.logits:.1e}{gradients}{dead}"
