"""What `levgen inspect` shows: an architecture, where it is from, and what a survey said of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from levgen.architecture.card import as_data
from levgen.architecture.catalogue import find, get
from levgen.architecture.schema import Architecture
from levgen.cli.layer_graph import layer_graph
from levgen.cli.surveying import survey_model
from levgen.errors import LevgenError
from levgen.reference.find import own_code
from levgen.reference.hf_config import read_hf_config, require_causal, with_dimensions_of
from levgen.reference.hub import local_folder
from levgen.reference.source import causal_type, default_vocab_size
from levgen.scaffold.choose import Surveyor, settled, with_reference
from levgen.scaffold.complete import complete
from levgen.scaffold.count import cached_numbers, count_modules
from levgen.scaffold.dataflow.layer import dataflow_of
from levgen.survey.report import Survey


@dataclass(frozen=True)
class Inspection:
    """`architecture` is None where the survey left a question open that is not about one module alone.

    `card`: that of the type, if it has one.
    """

    model: str
    architecture: Architecture | None
    card: Architecture | None = None
    survey: Survey | None = None
    vocab_size: int | None = None

    @property
    def known(self) -> Architecture:
        """The architecture. Raises LevgenError that lists what is unknown where there is none."""
        if self.architecture is not None:
            return self.architecture
        assert self.survey is not None
        return settled(self.survey).architecture

    def differing(self) -> list[str]:
        """`answer: of the card, of the survey` where a survey found something else than the card says."""
        if self.architecture is None or self.card is None or self.survey is None:
            return []
        found, card = _answers(self.architecture), _answers(complete(self.card))
        return [f"{name}: {card[name]}, the survey: {found[name]}" for name in card if found[name] != card[name]]

    def as_data(self) -> dict[str, Any]:
        """The card's own keys, and beside them `parameters`, `dataflow`, `evidence`, `unknown` and `rebuilt`."""
        data: dict[str, Any] = {"model": self.model}
        if self.architecture is not None:
            counts = count_modules(self.architecture)
            modules = [
                {"module": c.module, "axes": c.axes, "each": c.each, "per_token": c.per_token, "times": c.times}
                | ({} if c.active is None else {"active": c.active})
                for c in counts
            ]
            total = None if self.vocab_size is None else sum(count.total(self.vocab_size) for count in counts)
            passed = None if self.vocab_size is None else sum(count.passed(self.vocab_size) for count in counts)
            data |= as_data(self.architecture)
            data["parameters"] = {
                "vocab_size": self.vocab_size,
                "total": total,
                **({} if passed == total else {"active": passed}),
                "modules": modules,
            }
            data["cached_numbers"] = cached_numbers(self.architecture)
            data["dataflow"] = layer_graph(dataflow_of(self.architecture)).as_data()
        if self.survey is not None:
            said = self.survey.as_data()
            data |= {key: said[key] for key in ("evidence", "unknown")}
            data["rebuilt"] = {"logits": list(self.survey.errors), "gradients": self.survey.gradient_error}
        return data


def inspect_model(model: str, *, survey: bool, trust_remote_code: bool) -> Inspection:
    """What is known of a type or folder `model`: from its card, or from a survey where it has none or one is asked for.

    Raises LevgenError for a model that is neither a known type nor a folder with a `config.json`.
    """
    run = partial(survey_model, trust_remote_code=trust_remote_code)
    folder = local_folder(model)
    if folder.is_dir():
        return _inspect_folder(model, folder, run, survey=survey)
    if trust_remote_code:
        raise LevgenError(f"--trust-remote-code says that a folder's code may run, and {model} is no folder")
    if "/" in model or "\\" in model:
        raise LevgenError(f"there is no folder {model}", "expected a folder with a config.json, or a model type")
    card, surveyed = _of_type(model, run, survey=survey)
    architecture = _architecture(card, surveyed)
    return Inspection(model, architecture, card, surveyed, _default_vocab(architecture))


def _inspect_folder(model: str, folder: Path, run: Surveyor, *, survey: bool) -> Inspection:
    data = read_hf_config(folder)
    code = own_code(folder, data)
    vocab = data.get("vocab_size")
    vocab = vocab if isinstance(vocab, int) else None
    if code is not None:
        surveyed = run(folder)
        found = _architecture(None, surveyed)
        if found is not None:
            found = with_reference(found, code, data["model_type"])
        return Inspection(model, found, None, surveyed, vocab)
    card, maybe = _of_type(data["model_type"], run, survey=survey)
    architecture = _architecture(card, maybe)
    if architecture is not None:
        require_causal(architecture, data)
        architecture = complete(with_dimensions_of(architecture, data))
    return Inspection(model, architecture, card, maybe, vocab or _default_vocab(architecture))


def _of_type(model_type: str, run: Surveyor, *, survey: bool) -> tuple[Architecture | None, Survey | None]:
    """The card of a type, and what a survey of it says, which is asked where there is no card."""
    card, known = find(model_type), causal_type(model_type)
    if known is None or not (survey or card is None):
        return get(model_type), None
    return card, run(known)


def _architecture(card: Architecture | None, survey: Survey | None) -> Architecture | None:
    if survey is not None:
        known = survey.architecture or survey.stubbed
        return None if known is None else complete(settled(survey).architecture)
    assert card is not None
    return complete(card)


def _default_vocab(architecture: Architecture | None) -> int | None:
    reference = None if architecture is None else architecture.reference
    return None if reference is None else default_vocab_size(reference.module, reference.config)


def _answers(architecture: Architecture) -> Mapping[str, Any]:
    return {
        f"{group}.{answer}": value
        for group, answers in architecture.groups().items()
        for answer, value in answers.items()
    }
