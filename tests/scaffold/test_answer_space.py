"""Every combination of answers: it generates a model that runs and round-trips, or it is refused with the reason."""

import tempfile
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from levgen.architecture.catalogue import get, known_types
from levgen.architecture.schema import Architecture
from levgen.architecture.settings import apply_settings
from levgen.errors import LevgenError
from levgen.importing import import_file
from levgen.scaffold.complete import complete
from levgen.scaffold.names import model_name
from levgen.scaffold.port import render_model

NAME = model_name("drawn")
# Values for the answers that are numbers or names: good ones, and ones that must be refused.
_FACTORS: list[Any] = [None, 0.5, 30.0, "head_dim**-0.5", "hidden_dim**0.5", "initializer_range", "no_such_thing"]
_SWITCHES: list[Any] = [True, False, "tie_word_embeddings", "no_such_thing"]


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    choices = typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else None
    if choices:
        return st.sampled_from(choices)
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        return st.integers(0, 4)
    text = str(annotation)
    return st.sampled_from(_SWITCHES if "bool" in text else _FACTORS)


def _answers() -> dict[str, st.SearchStrategy[Any]]:
    """Dotted name -> the values to try, for every answer of the schema."""
    groups = get("llama").groups()
    return {
        f"{group}.{field.name}": _values(field.type)
        for group, answers in groups.items()
        for field in msgspec.structs.fields(type(answers))
    }


ANSWERS = _answers()


@st.composite
def architectures(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A card, and settings that change up to eight of its answers."""
    card = draw(st.sampled_from(known_types()))
    changed = draw(st.lists(st.sampled_from(sorted(ANSWERS)), max_size=8, unique=True))
    return card, [f"{name}={yaml.safe_dump(draw(ANSWERS[name])).splitlines()[0]}" for name in changed]


def _generate(card: str, changes: list[str]) -> tuple[Architecture, str] | None:
    """The architecture and its model file, or None where levgen refuses, which it does with a reason."""
    try:
        architecture = complete(apply_settings(get(card), changes))
    except LevgenError as error:
        event(f"refused: {error.message}")
        return None
    return architecture, render_model(architecture, NAME)


@settings(max_examples=60, deadline=None)
@given(architectures())
def test_every_combination_is_rendered_or_refused(drawn: tuple[str, list[str]]) -> None:
    generated = _generate(*drawn)
    if generated is None:
        return
    architecture, source = generated
    compile(source, "drawn.py", "exec")
    assert render_model(architecture, NAME) == source
    assert all(len(line) <= 120 for line in source.splitlines())
    # Experts, which may stand beside layers without, in one file; and an indexer beside attention.
    most = {"none": 350, "every": 370}.get(architecture.moe.layers, 410)
    most += {"none": 0, "every": 50, "listed": 80}[architecture.attention.indexer]
    # Other answers than a card's may add a class of their own.
    most += 40 if drawn[1] else 0
    assert (130 if architecture.layer.mlp else 90) <= len(source.splitlines()) <= most


@pytest.mark.slow
# No shrinking: an example takes seconds, and the settings that are printed tell enough.
@settings(
    max_examples=16,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(architectures())
def test_every_combination_runs_and_round_trips(drawn: tuple[str, list[str]]) -> None:
    generated = _generate(*drawn)
    if generated is not None:
        with tempfile.TemporaryDirectory() as folder:
            _run_and_round_trip(*generated, Path(folder))


def _run_and_round_trip(architecture: Architecture, source: str, folder: Path) -> None:
    import equinox as eqx
    import haliax as hax
    import jax
    import numpy as np

    from levgen.runtime import LmExample, load_hf, save_hf
    from levgen.scaffold.views.port import PortView

    (folder / "drawn.py").write_text(source)
    module = import_file(folder / "drawn.py", "drawn")

    tiny = {h.name: eval(h.tiny, vars(module)) for h in PortView(architecture, NAME).hyperparameters}
    config = module.DrawnConfig(**tiny)
    Vocab, tokens = hax.Axis("vocab", 31), hax.named(np.arange(32).reshape(2, 16) % 31, ("batch", "position"))

    @eqx.filter_jit
    def loss_and_gradients(model: Any) -> Any:
        return eqx.filter_value_and_grad(
            lambda model: model.compute_next_token_loss(LmExample.causal(tokens)).scalar()
        )(model)

    model = eqx.filter_jit(module.DrawnLMHeadModel.init)(Vocab, config, key=jax.random.PRNGKey(0))
    loss, gradients = loss_and_gradients(model)
    assert np.isfinite(loss)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    save_hf(model, folder / "saved")
    loaded = load_hf(module.DrawnLMHeadModel, folder / "saved")
    for ours, theirs in zip(jax.tree.leaves(model), jax.tree.leaves(loaded), strict=True):
        np.testing.assert_array_equal(ours, theirs)
