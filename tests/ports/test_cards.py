"""Every card is proven against its reference: logits near and far, gradients, files, and other configs."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import draccus
import equinox as eqx
import haliax as hax
import jax
import jax.random as jrandom
import numpy as np
import pytest
import yaml
from haliax import Axis, NamedArray

from levgen.architecture.catalogue import get, known_types
from levgen.architecture.schema import Architecture
from levgen.importing import import_file
from levgen.runtime import load_hf, save_hf
from levgen.runtime.abstract import abstract_model
from levgen.runtime.generation import generate
from levgen.runtime.testing import relative_error
from levgen.scaffold.complete import complete
from levgen.scaffold.names import model_name
from levgen.scaffold.port import render_model
from levgen.scaffold.views.port import PortView

pytest.importorskip("torch")
pytest.importorskip("transformers")

from levgen.runtime.parity import Ported

QUICK = ("llama", "gpt2")
# Of the models with experts these stand for all in CI.
MIXTURES = ("mixtral", "deepseek_v3")


def _marks(name: str) -> Any:
    if name in QUICK:
        return ()
    return pytest.mark.slow if get(name).moe.layers == "none" or name in MIXTURES else pytest.mark.exhaustive


CARDS = [pytest.param(name, marks=_marks(name)) for name in known_types()]
# Prime, and unlike every other size: an axis taken for another shows.
Vocab = Axis("vocab", 131)
PROMPTS, NEW_TOKENS = (37, 5, 60), 12
MODEL, GRADIENT = 1e-4, 1e-3


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A card's model as a module, with the config that its own tests use and the changes that they make to it."""

    module: ModuleType
    view: PortView

    @property
    def model_class(self) -> Any:
        return getattr(self.module, f"{self.view.Name}LMHeadModel")

    @property
    def tiny(self) -> Any:
        values = {h.name: eval(h.tiny, vars(self.module)) for h in self.view.hyperparameters}
        return getattr(self.module, f"{self.view.Name}Config")(**values)

    @property
    def variations(self) -> Iterator[dict[str, Any]]:
        tiny = self.tiny
        return (eval(changes, {"TINY": tiny}) for changes in self.view.parity.variations)

    def port(self, config: Any) -> Ported[Any]:
        return Ported.random(self.model_class, config, Vocab)


def render(architecture: Architecture, model_type: str, folder: Path) -> Rendered:
    name = model_name(model_type)
    path = folder / f"{name.snake}.py"
    path.write_text(render_model(architecture, name))
    return Rendered(import_file(path, f"rendered_{name.snake}"), PortView(architecture, name))


def tokens(length: int, *, seed: int = 1) -> NamedArray:
    drawn: NamedArray = hax.random.randint(
        jrandom.PRNGKey(seed), (Axis("batch", 2), Axis("position", length)), 0, Vocab.size
    )
    return drawn


@eqx.filter_jit
def _logits(model: Any, ids: NamedArray) -> NamedArray:
    out: NamedArray = model(ids)
    return out


def logits_error(ported: Ported[Any], length: int, *, chooses: bool = False) -> float:
    ids = ported.settled(tokens, length) if chooses else tokens(length)
    return relative_error(_logits(ported.model, ids), ported.logits(ids))


@pytest.mark.parametrize("model_type", CARDS)
def test_card_equals_its_reference(model_type: str, tmp_path: Path, record_property: Any) -> None:
    architecture = complete(get(model_type))
    assert architecture.reference is not None
    rendered = render(architecture, model_type, tmp_path)
    ported = rendered.port(rendered.tiny)

    chooses = architecture.moe.layers != "none" or architecture.attention.indexer != "none"
    near, far = (logits_error(ported, length, chooses=chooses) for length in (64, 600))
    drawn = ported.settled(tokens, 64) if chooses else tokens(64)
    ours, expected = ported.gradients(drawn), ported.reference_gradients(drawn)
    assert ours.keys() == expected.keys()
    gradient = {name: relative_error(ours[name], expected[name]) for name in expected}
    varied = {
        str(changes): logits_error(rendered.port(_changed(rendered.tiny, changes)), 64, chooses=chooses)
        for changes in rendered.variations
    }
    worst = max(gradient.values()), max(varied.values())
    figures = f"logits {near:.1e}, at 600 {far:.1e}, gradients {worst[0]:.1e}, varied {worst[1]:.1e}"
    record_property("relative errors", figures)
    print(f"{model_type}: {figures}, {len((tmp_path / f'{rendered.view.name}.py').read_text().splitlines())} lines")

    assert max(near, far) <= MODEL
    assert {name: error for name, error in gradient.items() if error > GRADIENT} == {}
    assert {changes: error for changes, error in varied.items() if error > MODEL} == {}
    _round_trip(ported, rendered, tmp_path)
    _decoding(ported)
    jax.clear_caches()


def _changed(config: Any, changes: dict[str, Any]) -> Any:
    return dataclasses.replace(config, **changes)


def _round_trip(ported: Ported[Any], rendered: Rendered, folder: Path) -> None:
    """Bit for bit: transformers writes, we read and write, transformers reads."""
    ported.reference.save_pretrained(folder / "theirs")
    save_hf(load_hf(rendered.model_class, folder / "theirs"), folder / "ours")
    assert Ported.differing_tensors(ported.reference, folder / "ours") == []
    config_class = type(rendered.tiny)
    for config in (rendered.tiny, config_class()):
        assert config_class.from_hf_config(config.to_hf_config(Vocab.size)) == config


def _decoding(ported: Ported[Any]) -> None:
    """Token by token what transformers' greedy decoding gives, for prompts of several lengths at once."""
    drawn = np.random.default_rng(2)
    prompts = [drawn.integers(0, Vocab.size, length).tolist() for length in PROMPTS]
    ours = generate(ported.model, prompts, max_new_tokens=NEW_TOKENS)
    assert ours.tokens == [ported.reference_continuation(prompt, NEW_TOKENS) for prompt in prompts]


@pytest.mark.parametrize("model_type", known_types())
def test_yaml_of_a_card_is_read_as_its_config(model_type: str, tmp_path: Path) -> None:
    """At full size and on a laptop: every value has the type that its field asks for, and the model can be traced."""
    rendered = render(complete(get(model_type)), model_type, tmp_path)
    full = {h.name: yaml.safe_load(h.full_yaml) for h in rendered.view.hyperparameters}
    nano = {h.name: yaml.safe_load(h.nano_yaml) for h in rendered.view.hyperparameters if h.nano_yaml is not None}
    config_class = type(rendered.tiny)
    assert draccus.decode(config_class, full) == config_class()
    config = draccus.decode(config_class, nano)
    for sized in (config_class(), config):
        model = abstract_model(rendered.model_class, sized, Vocab.size)
        assert eqx.filter_eval_shape(lambda model, ids: model(ids), model, tokens(8)).axes[-1] == Vocab
    assert all(array.axes == (config.Layers,) for array in (getattr(config, name) for name in rendered.view.by_layer))


@pytest.mark.parametrize("model_type", known_types())
def test_a_fresh_config_is_written_and_read(model_type: str, tmp_path: Path) -> None:
    """At full size: the reference's config class takes what a card writes, and gives it back."""
    config_class = type(render(complete(get(model_type)), model_type, tmp_path).tiny)
    config = config_class()
    assert config_class.from_hf_config(config.to_hf_config(Vocab.size)) == config
