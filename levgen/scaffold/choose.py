"""Which architecture a new model is written from: a card, a checkpoint's config, a survey, or stubs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from levgen.architecture.card import as_data, parse_card
from levgen.architecture.catalogue import find, get, near_types
from levgen.architecture.schema import Architecture, Hyperparameter
from levgen.architecture.settings import apply_settings
from levgen.errors import LevgenError
from levgen.scaffold.blank import blank
from levgen.scaffold.complete import complete
from levgen.scaffold.names import ModelName

if TYPE_CHECKING:
    from levgen.reference.find import OwnCode
    from levgen.survey.report import Survey

_STD = "initializer_range"
# Finds out what a model type or the model of a folder is.
Surveyor = Callable[[str | Path], "Survey"]


@dataclass(frozen=True)
class Choice:
    """An architecture, what the user should know about it, and the survey that found it out, if one did."""

    architecture: Architecture
    notes: tuple[str, ...] = ()
    survey: "Survey | None" = None

    @property
    def is_blank(self) -> bool:
        return bool(self.architecture.stubs)


def choose(
    name: ModelName, *, like: str | None, source: Path | None, settings: Sequence[str], survey: Surveyor
) -> Choice:
    """The architecture for `name`: of the folder `source`, of the type `like`, of the type of that name, or stubs.

    What has no card is surveyed. Raises LevgenError where `like` or `source` name nothing that levgen knows and
    transformers has, where a survey leaves a question open, and where a setting doesn't fit.
    """
    from levgen.reference.source import causal_type

    if source is not None:
        found = _from_folder(source, like, survey)
    elif like is not None:
        found = _of_type(like, survey)
    elif find(name.snake) is not None or causal_type(name.snake) is not None:
        found = _of_type(name.snake, survey)
    else:
        return _stubs(name, settings)
    changed = complete(apply_settings(found.architecture, settings))
    notes = [*found.notes]
    if found.architecture.reference is not None and changed.reference is None:
        notes.append(
            f"no model of transformers has this architecture any more: {name.snake} has no parity tests, "
            f"and its checkpoints are of its own type"
        )
    return Choice(changed, tuple(notes), found.survey)


def _of_type(model_type: str, survey: Surveyor) -> Choice:
    """The card of a type, or else what a survey of it finds."""
    from levgen.reference.source import causal_type

    card = find(model_type)
    if card is not None:
        return Choice(card)
    in_transformers = causal_type(model_type)
    return Choice(get(model_type)) if in_transformers is None else settled(survey(in_transformers))


def _from_folder(source: Path, like: str | None, survey: Surveyor) -> Choice:
    from levgen.reference.find import own_code
    from levgen.reference.hf_config import read_hf_config, require_causal, with_dimensions_of

    data = read_hf_config(source)
    if like is not None and like.replace("-", "_") != data["model_type"].replace("-", "_"):
        raise LevgenError(f"--like {like} contradicts --from {source}, which is of type {data['model_type']!r}")
    code = own_code(source, data)
    if code is not None:
        found = settled(survey(source))
        return Choice(with_reference(found.architecture, code, data["model_type"]), found.notes, found.survey)
    found = _of_type(data["model_type"], survey)
    require_causal(found.architecture, data)
    return Choice(with_dimensions_of(found.architecture, data), found.notes, found.survey)


def with_reference(architecture: Architecture, code: "OwnCode", model_type: str) -> Architecture:
    """`architecture` with the code of its folder as the reference, which takes the rotation that was surveyed only."""
    file, _, model = code.model.rpartition(".")
    import importlib.metadata  # here, since it costs what a card does

    rope = architecture.hyperparameters.get("rope")
    kinds = (rope.default.get("kind", "default"),) if rope is not None and isinstance(rope.default, dict) else ()
    reference = {
        "module": file,
        "model": model,
        "config": code.config.rpartition(".")[2],
        "model_type": model_type,
        "version": importlib.metadata.version("transformers"),
        "rope_kinds": kinds,
        "in_folder": True,
    }
    data = {**as_data(architecture), "reference": reference}
    if isinstance(rope := data["hyperparameters"].get("rope", {}).get("default"), dict):
        # Code of a folder may read any of these: the tests' own rotation has them all.
        data["hyperparameters"]["rope"]["tiny"] = {**rope, "theta": 500.0}
    return parse_card(data, source=f"the survey of {model_type}")


def settled(survey: "Survey") -> Choice:
    """What a survey found, with how near the model came that was rebuilt from it: whole, or around stubs.

    Raises LevgenError that lists what is unknown where a question is left open that no stub is the answer to.
    """
    architecture = survey.architecture or survey.stubbed
    if architecture is None:
        listed = "\n".join(
            f"  {unknown.question}: {unknown.observed}" + (f" [{unknown.where}]" if unknown.where else "")
            for unknown in survey.unknown
        )
        near = near_types(survey.model_type)
        raise LevgenError(
            f"{survey.model_type} is not understood, and levgen doesn't guess. Unknown:\n{listed}",
            "`levgen inspect` of it shows what was found so far\n"
            f"to write the rest by hand, start from what is nearest (--like {near[0] if near else 'llama'}), or from "
            f"stubs: `levgen new-model my_{survey.model_type.replace('-', '_').lower()} --defaults`",
        )
    errors = f"logits {max(survey.errors):.1e}" if survey.errors else "nothing"
    gradients = "" if survey.gradient_error is None else f", gradients {survey.gradient_error:.1e}"
    around = ", with what the reference gives in the places of stubs," if architecture.unknown else ""
    rebuilt = (
        f"the model rebuilt from what was found{around} differs from the reference by {errors}{gradients} "
        "(relative error)"
    )
    notes = [f"{survey.model_type} has no card: surveyed in {survey.seconds:.0f} s; {rebuilt}"]
    # What stubs are there for is said with the files.
    unsettled = [one for one in survey.unknown if survey.stubbed is None or one.question == "initialisation"]
    notes += [f"not settled: {unknown.question}: {unknown.observed}" for unknown in unsettled]
    if _STD not in architecture.hyperparameters and architecture.initialization.std == _STD:
        notes.append(f"no field of the config says how fresh weights are drawn: {_STD} is the usual 0.02")
        usual = Hyperparameter(default=0.02, tiny=0.03)
        own = {**architecture.hyperparameters, _STD: usual}
        architecture = architecture.changed(hyperparameters=own)
    return Choice(architecture, tuple(notes), survey)


def _stubs(name: ModelName, settings: Sequence[str]) -> Choice:
    from levgen.reference.source import in_transformers

    near = near_types(name.snake)
    notes = [f"levgen has no card for {name.snake!r}: every module is a stub for you to write"]
    if near:
        notes.append(f"known types with a near name: {', '.join(near)} (take one with --like)")
    if in_transformers(name.snake):
        notes.append(f"transformers has a model called {name.snake}, and it is no causal language model")
    return Choice(complete(apply_settings(blank(name), settings)), tuple(notes))
