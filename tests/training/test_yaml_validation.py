"""What is wrong with a training YAML is said at once, by line, with what to write instead."""

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from levgen.errors import LevgenError
from levgen.training.levanter_keys import RENAMED
from levgen.training.validate import check_yaml, load

Edit = Callable[..., Path]


def message(path: Path, *overrides: str) -> str:
    with pytest.raises(LevgenError) as caught:
        load(path, overrides=list(overrides))
    return caught.value.message


def test_example(yaml_file: Edit) -> None:
    config = load(yaml_file()).config
    assert config.trainer.num_train_steps == 30
    assert config.trainer.checkpointer.save_interval == timedelta(minutes=15)
    assert config.optimizer.beta2 == 0.95  # Levanter's default
    assert config.model == {"type": "tiny", "max_seq_len": 32, "hidden_dim": 32}
    assert check_yaml(yaml_file(), engine="local") == []


def test_all_problems_at_once_in_the_order_of_lines(yaml_file: Edit) -> None:
    path = yaml_file(
        ("num_train_steps: 30", "num_train_step: 30"),
        ("mp: f32", "mp: half"),
        ("train_batch_size: 8", "train_batch_size: many"),
        ("  steps_per_eval: 15", "  fsdp_axis: embed"),
        ("  max_eval_batches: 4", "  jax_config: {}"),
        ("type: adam", "type: adm"),
        ("  train_weights: {shipped: 1.0}", "  train_weights: {shiped: 1.0}\n  train_urls: [a.jsonl]"),
    )
    served = "the local engine hasn't got it: `--engine levanter` serves it"
    assert message(path) == "\n".join(
        [
            "config/tiny.yaml has 7 problems:",
            "  line 11: data.train_urls: a key of an older Levanter; now data.components.<name>.source.train_urls",
            f"  line 18: trainer.mp: half (here: f32, bf16, f16): {served}",
            "  line 19: trainer.num_train_step: unknown key; did you mean 'num_train_steps'?",
            "  line 20: trainer.train_batch_size: expected a whole number, got 'many'",
            f"  line 21: trainer.fsdp_axis: a key of an older Levanter; now {RENAMED['trainer.fsdp_axis']}",
            f"  line 22: trainer.jax_config: {served}",
            "  line 27: optimizer.type: expected 'adam', 'lion' or 'rmsprop', got 'adm'; did you mean 'adam'?",
        ]
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("model:", "epoch: 3\nmodel:", "line 11: epoch: a key of an older Levanter; now trainer.num_train_steps alone"),
        ("max_seq_len: 32", "seq_len: 32", "line 13: model.seq_len: a key of an older Levanter; now model.max_seq_len"),
        ("  seed: 0", "  axis_resources: {batch: data}", "line 16: trainer.axis_resources: a key of an older Levanter"),
        ("  seed: 0", "  profiler: true", "line 16: trainer.profiler: a plain value in an older Levanter; now a sect"),
        ("  seed: 0", "  profiler: {enabled: true}", "line 16: trainer.profiler: the local engine hasn't got it"),
        ("  seed: 0", "  seed: 0\n  seed: 1", "line 17: trainer.seed: given twice, first at line 16: keep one"),
        ("  seed: 0", "  seed: -1", "line 16: trainer.seed: expected greater than or equal to 0, got -1"),
        ("  type: tiny", "  kind: tiny", "line 11: model: expected the model's name in `type`, for example"),
        (
            "train_urls: [data/train.jsonl]",
            "train_urls: []",
            "components.shipped.source.train_urls: expected at least 1, got none",
        ),
        ("type: url", "type: hf", "line 7: data.components.shipped.source.type: hf: the local engine hasn't got it"),
        (
            "{type: json_logger}",
            "{type: trackio}",
            "line 23: trainer.tracker.type: trackio: the local engine",
        ),
        (
            "{type: json_logger}",
            "[{type: noop}, {type: wandb, projct: a}]",
            "line 23: trainer.tracker.1.projct: unknown key; did you mean 'project'?",
        ),
        (
            "{type: json_logger}",
            "[noop, wandbb]",
            "trainer.tracker.1: expected 'json_logger', 'noop', 'tensorboard' or ",
        ),
        (
            "{type: json_logger}",
            "{type: wandb, tags: 3}",
            "line 23: trainer.tracker.tags: expected a valid list, got 3",
        ),
        (
            "{type: json_logger}",
            "{type: tensorboard, flush_secs: 3}",
            "trainer.tracker.flush_secs: the local engine has",
        ),
        ("mp: f32", "mp: p=f32,c=bfloat", "line 17: trainer.mp: unknown dtype 'bfloat'; did you mean 'bfloat16'"),
        (
            "train_batch_size: 8",
            "train_batch_size: -1",
            "train_batch_size: -1, for as many as the devices compute at",
        ),
        ("mp: f32", "mp: p=f32,x=f32", "trainer.mp: unknown part 'x' in 'p=f32,x=f32'; parts: p (parameters), c (com"),
        ("mp: f32", "mp: c=bf16,o=bf16", "trainer.mp: an output of bfloat16 (here: float32): the local engine hasn"),
        (
            "  seed: 0",
            "  per_device_parallelism: 0",
            "trainer.per_device_parallelism: expected a whole number of examples",
        ),
        (
            "  seed: 0",
            "  mesh: {axes: {data: 0}}",
            "line 16: trainer.mesh.axes.data: expected a number of devices, or -1",
        ),
        ("  seed: 0", "  mesh: {axis: {data: 1}}", "line 16: trainer.mesh.axis: unknown key; did you mean 'axes'?"),
        (
            "  seed: 0",
            "  mesh: {batch_axis_name: b}",
            "trainer.mesh.batch_axis_name: a batch axis named 'b' (here: batch): ",
        ),
        ("train_batch_size: 8", "train_batch_size: [4, 8]", "line 19: trainer.train_batch_size: a schedule of batch"),
        ("save_interval: 15m", "save_interval: soon", "expected a duration such as 30s, 15m or 1h30m, got 'soon'"),
        ("save_interval: 15m", "keep: [{every: 5}, {every: 9}]", "only the last may have none"),
        (
            "  type: adam",
            "  lr_schedule: {type: power, batch_size: 8}",
            "lr_schedule.seq_length: missing: give it a value",
        ),
        (
            "  type: adam",
            "  lr_schedule: {type: inv, power: 2}",
            "line 26: optimizer.lr_schedule.power: unknown key; kn",
        ),
        (
            "  type: adam",
            "  type: lion\n  nesterov: true",
            "line 27: optimizer.nesterov: unknown key; known: learning_rate",
        ),
        (
            "  type: adam",
            "  lr_schedule: cosin",
            "'inv_sqrt', 'inv_sqrt_decay' or 'power', got 'cosin'; did you mean 'cosine'",
        ),
        (
            "  type: adam",
            "  type: muon\n  momentum: 0.9",
            "line 26: optimizer.type: muon: the local engine hasn't got it",
        ),
        (
            "{shipped: 1.0}",
            "{shiped: 1.0}",
            "data.train_weights.shiped: no component of that name; did you mean 'shipp",
        ),
        ("{shipped: 1.0}", "{shipped: 0}", "line 10: data.train_weights: every weight is 0: nothing to train on"),
        (
            "warmup: 0.1",
            "warmup: 2.5",
            "optimizer.warmup: expected a fraction of the run (0 to 1) or a whole number of",
        ),
        ("trainer:", "trainr:", "line 15: trainr: unknown key; did you mean 'trainer'?"),
    ],
)
def test_one_problem(yaml_file: Edit, old: str, new: str, problem: str) -> None:
    found = message(yaml_file((old, new)))
    assert found.startswith("config/tiny.yaml has 1 problem:")
    assert problem in found


def test_missing_section_has_no_line_of_its_own(yaml_file: Edit) -> None:
    path = yaml_file(("  tokenizer: data/tokenizer\n", ""))
    assert message(path) == "config/tiny.yaml has 1 problem:\n  line 1: data.tokenizer: missing: give it a value"


def test_levanter_engine_takes_what_only_levanter_has_but_no_typing_error(yaml_file: Edit) -> None:
    path = yaml_file(
        ("mp: f32", "mp: half"),
        ("train_batch_size: 8", "train_batch_size: [4, 8]"),
        ("type: adam", "type: muon\n  momentum: 0.9"),
        ("  seed: 0", "  jax_config: {jax_debug_nans: true}"),
        ("steps_per_eval: 15", "steps_per_evl: 15"),
    )
    assert [str(problem) for problem in check_yaml(path)] == [
        "line 20: trainer.steps_per_evl: unknown key; did you mean 'steps_per_eval'?"
    ]


def test_overrides(yaml_file: Edit) -> None:
    loaded = load(yaml_file(), overrides=["trainer.num_train_steps=7", "optimizer.max_grad_norm=null", "data_seed=3"])
    assert loaded.config.trainer.num_train_steps == 7
    assert loaded.config.optimizer.max_grad_norm is None
    assert loaded.config.data_seed == 3


def test_override_problems(yaml_file: Edit) -> None:
    path = yaml_file()
    assert message(path, "trainer.sed=7") == (
        "config/tiny.yaml has 1 problem:\n  --set: trainer.sed: unknown key; did you mean 'seed'?"
    )
    assert message(path, "trainer.seed") == "--set expects a key and a value, got 'trainer.seed'"
    assert message(path, "trainer.seed.x=1") == "--set trainer.seed.x=1: 'seed' holds 0, not a section"
    assert message(path, "trainer.seed=[1").startswith("--set trainer.seed=[1: '[1' is not a YAML value: ")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"data: [1\nmodel: 2", "broken.yaml:2:6: not valid YAML: "),
        (b"- a", "broken.yaml: expected a mapping of sections (data, model, trainer, optimizer), got list"),
        (b"", "broken.yaml: expected a mapping of sections (data, model, trainer, optimizer), got NoneType"),
        (b"\xff\xfe\x00", "broken.yaml can't be read: "),
    ],
)
def test_not_a_yaml_mapping(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    assert problem in message(path)


def test_no_such_file(tmp_path: Path) -> None:
    assert message(tmp_path / "no.yaml") == f"no such file: {tmp_path / 'no.yaml'}"


def test_checking_needs_no_jax() -> None:
    code = "import sys, levgen.training.validate; print([m for m in ('jax', 'haliax', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
