"""One step, however it is computed: in pieces, on several devices, in bfloat16."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from levgen.errors import LevgenError
from levgen.training.mesh import make_placement
from levgen.training.placing import one_device
from levgen.training.schema import MeshConfig
from levgen.training.setup import prepare
from levgen.training.step import State, StepMetrics
from levgen.training.validate import load

SMALL = ["model.num_layers=1", "model.hidden_dim=16", "data.vocab_size=260"]


def one_step(*overrides: str, mesh: MeshConfig | None = None) -> tuple[State, StepMetrics]:
    placement = one_device() if mesh is None else make_placement(mesh, jax.devices())
    setup = prepare(load(Path("config/tiny.yaml"), overrides=[*SMALL, *overrides]), placement=placement)
    with setup.training.placement.active():
        state, rest = setup.training.init()
        return setup.training.train_step(rest)(state, setup.batches.at(0))  # type: ignore[no-any-return]


def assert_same(found: tuple[State, StepMetrics], expected: tuple[State, StepMetrics]) -> None:
    assert float(found[1].loss) == pytest.approx(float(expected[1].loss), rel=1e-6)
    assert float(found[1].grad_norm) == pytest.approx(float(expected[1].grad_norm), rel=1e-5)
    for one, other in zip(jax.tree.leaves(found[0].params), jax.tree.leaves(expected[0].params), strict=True):
        assert one.dtype == other.dtype
        assert np.abs(np.asarray(one) - np.asarray(other)).max() <= 1e-4 * np.abs(other).max()


def test_pieces_and_devices_change_nothing(project: Path) -> None:
    # The optimiser's first step divides by the gradient's size, and would blow up what rounding leaves of a zero.
    smooth = "optimizer.epsilon=1.0e-2"
    whole = one_step(smooth)
    assert_same(one_step(smooth, "trainer.per_device_parallelism=2"), whole)
    assert_same(one_step(smooth, "trainer.per_device_parallelism=1", mesh=MeshConfig()), whole)
    split = MeshConfig(axes={"data": 1, "model": 2}, param_mapping={"embed": "data", "vocab": "model"})
    found = one_step(smooth, mesh=split)
    assert_same(found, whole)
    shapes = {array.sharding.shard_shape(array.shape) for array in jax.tree.leaves(found[0].params.lm_head)}
    assert shapes == {(130, 16)}  # {vocab, embed} over the axis `model`


def test_bfloat16_computes_near_float32_and_keeps_its_parameters(project: Path) -> None:
    _, exact = one_step()
    state, mixed = one_step("trainer.mp=p=f32,c=bfloat16")
    assert {array.dtype for array in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
    assert mixed.loss.dtype == jnp.float32
    assert float(mixed.loss) == pytest.approx(float(exact.loss), rel=1e-2)
    assert float(mixed.loss) != float(exact.loss)
    state, _ = one_step("trainer.mp=bfloat16")
    assert {array.dtype for array in jax.tree.leaves(state.params)} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("trainer.train_batch_size=7", "trainer.train_batch_size: 7 can't be spread over 2 devices: try 6 or 8"),
        (
            "trainer.per_device_parallelism=3",
            "trainer.per_device_parallelism: a batch of 8 can't be cut into pieces of 3 examples on each of 2 devices",
        ),
        ("trainer.mesh.axes={data: 3}", "trainer.mesh.axes: {data: 3} can't be made of 2 devices"),
        ("trainer.mesh.axes={data: -1, model: -1}", "trainer.mesh.axes: only one axis may be -1, got data and model"),
        (
            "trainer.mesh.dcn_axes={replica_dcn: 2}",
            "trainer.mesh.dcn_axes: replica_dcn: 2, and the local engine has",
        ),
        ("trainer.mesh.dcn_axes={data: 1}", "trainer.mesh.dcn_axes: 'data' is an axis within a slice and of slices"),
        (
            "trainer.mesh.param_mapping={embed: daat}",
            "trainer.mesh.param_mapping: embed is mapped to 'daat', which the mesh hasn't got; did you mean 'data'?",
        ),
        (
            "trainer.mesh={axes: {data: 2}, param_mapping: {embed: data, mlp: data}}",
            "trainer.mesh.param_mapping: an array over layer: 1, mlp: 32, embed: 16 would be split twice along the",
        ),
        (
            "trainer.mesh={axes: {model: -1}, param_mapping: {layer: model}, shared_mapping: {mlp: data, heads: data}}",
            "trainer.mesh.param_mapping: the axis 'layer' of size 1 can't be split over 2 devices",
        ),
    ],
)
def test_meshes_that_do_not_work(project: Path, override: str, problem: str) -> None:
    with pytest.raises(LevgenError) as caught:
        prepare(load(Path("config/tiny.yaml"), overrides=[*SMALL, override]))
    assert problem in caught.value.message


def test_a_vocabulary_that_can_not_be_split_says_which_can(project: Path) -> None:
    mesh = "trainer.mesh={param_mapping: {vocab: data}}"
    with pytest.raises(LevgenError, match=r"size 259 can't be split over 2 devices; data\.vocab_size: 260 can"):
        prepare(load(Path("config/tiny.yaml"), overrides=[*SMALL, "data.vocab_size=259", mesh]))


def test_axes_of_the_default_mesh_and_of_one_with_another_rest() -> None:
    devices = jax.devices()
    assert dict(make_placement(MeshConfig(), devices).mesh.shape) == {
        "data": 2,
        "replica": 1,
        "model": 1,
        "replica_dcn": 1,
    }
    rest = make_placement(MeshConfig(axes={"model": -1}), devices)
    assert dict(rest.mesh.shape) == {"data": 1, "replica": 1, "model": 2, "replica_dcn": 1}
    assert rest.batch_devices == 1
