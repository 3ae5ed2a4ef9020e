"""Generated models in the real Levanter: training, resuming, folders of transformers, several devices and processes.

Runs in an environment of its own (Python >= 3.12 with marin-levanter); elsewhere it is skipped. `.ci/run` makes one.
"""

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from levgen.architecture.catalogue import get, known_types

if importlib.util.find_spec("levanter") is None:
    pytest.skip("marin-levanter is not installed here: it needs an environment of its own", allow_module_level=True)

MODELS = ("llama", "gpt2", "gemma2", "bloom", "youtu")
# With experts, and the second one with latent attention too.
MIXTURES = ("mixtral", "deepseek_v3")
# Every axis that a rule of Levanter's shards by default, over 4 devices.
SMALL = {"hidden_dim": 64, "max_seq_len": 64}
LOSS = re.compile(r'"metrics": \{"train/loss": ([\d.e+-]+), "global_step": (\d+)')
FOUR_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
# Any batch of it is the same, so that the order in which an engine takes its sequences changes no loss.
REPEATED = "Every sequence begins with this." * 50
assert SMALL["max_seq_len"] % 32 == 0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with every model.

    What runs compile isn't kept for others: processes that read it back have died as they ended.
    """
    root = tmp_path_factory.mktemp("levanter") / "demo"
    for model in (*MODELS, *MIXTURES):
        command = [sys.executable, "-m", "levgen", "new-model", model, "--dest", str(root), "--defaults"]
        subprocess.run(command, check=True, capture_output=True)
    (root / "data" / "repeated.jsonl").write_text(json.dumps({"text": REPEATED}) + "\n")
    for path in root.glob("config/*_nano.yaml"):
        text = (
            path.read_text()
            .replace("data/train.jsonl", "data/repeated.jsonl")
            .replace("cache/tokens", "cache/repeated")
        )
        path.with_name(path.name.replace("_nano", "_repeated")).write_text(text)
    return root


def _command(model: str, settings: dict[str, object], *, text: str = "nano", engine: str = "levanter") -> list[str]:
    values = {
        **{f"model.{name}": value for name, value in SMALL.items()},
        "trainer.train_batch_size": 8,
        "trainer.steps_per_eval": 2,
        "trainer.max_eval_batches": 1,
        "trainer.id": model,
        **settings,
    }
    assignments = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "levgen", "train", f"config/{model}_{text}.yaml", *assignments]
    return [*command, "--engine", engine] if engine != "local" else command


def _train(
    project: Path,
    model: str,
    environment: dict[str, str] | None = None,
    *,
    text: str = "nano",
    engine: str = "levanter",
    **settings: object,
) -> str:
    """What a run printed, with underscores for the dots of keys: `trainer_seed` is no key of this test's."""
    named = {key.replace("__", "."): value for key, value in settings.items()}
    done = subprocess.run(
        _command(model, named, text=text, engine=engine),
        cwd=project,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def _losses(output: str) -> list[float]:
    """The training loss of each step; the last is logged twice."""
    by_step = {int(step): float(loss) for loss, step in LOSS.findall(output)}
    return [by_step[step] for step in sorted(by_step)]


@pytest.mark.parametrize("model", MODELS)
def test_it_trains_evaluates_exports_and_resumes(project: Path, model: str) -> None:
    steps = {"trainer__num_train_steps": 3, "hf_save_path": f"exports/{model}", "hf_save_steps": 2}
    output = _train(project, model, **steps)
    assert "eval loss" in output
    assert _losses(output)[0] == pytest.approx(np.log(258), rel=0.2)
    (export,) = (project / "exports" / model).rglob("step-2")
    assert json.loads((export / "config.json").read_text())["model_type"] == model
    assert (export / "model.safetensors").is_file()
    assert (export / "tokenizer.json").is_file()
    resumed = _train(project, model, trainer__num_train_steps=5)
    assert (len(_losses(output)), len(_losses(resumed))) == (3, 2)  # steps 0 to 2, then 3 and 4


@pytest.mark.parametrize("model", MIXTURES)
def test_a_mixture_trains_resumes_and_exports_as_in_the_local_engine(project: Path, model: str) -> None:
    common = {"text": "repeated", "optimizer__lr_schedule": "constant", "optimizer__warmup": 0, "hf_save_steps": 4}
    first = _train(project, model, trainer__num_train_steps=3, **common)
    assert "eval loss" in first
    resumed = _train(project, model, trainer__num_train_steps=5, hf_save_path="exports/theirs", **common)
    run = {"engine": "local", "trainer__id": f"{model}_ours", "hf_save_path": "exports/ours"}
    _train(project, model, trainer__num_train_steps=5, **run, **common)
    ours = [json.loads(line)["loss"] for line in (project / "logs" / f"{model}_ours.jsonl").read_text().splitlines()]
    assert len(ours) == 5
    np.testing.assert_allclose(_losses(first) + _losses(resumed), ours, rtol=1e-5)

    theirs = project / "exports" / "theirs" / model / "step-4"
    assert json.loads((theirs / "config.json").read_text())["model_type"] == model
    found = load_file(theirs / "model.safetensors")
    expected = load_file(project / "exports" / "ours" / f"{model}_ours" / "step-5" / "model.safetensors")
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-4, err_msg=name)


def _with_experts_or_latent_attention() -> list[str]:
    cards = {model_type: get(model_type) for model_type in known_types()}
    return [name for name, card in cards.items() if card.moe.layers != "none" or card.attention.heads == "latent"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("model_type", _with_experts_or_latent_attention())
def test_every_mixture_trains_some_steps_as_in_the_local_engine(tmp_path: Path, model_type: str) -> None:
    made = [sys.executable, "-m", "levgen", "new-model", model_type, "--dest", str(tmp_path), "--defaults"]
    subprocess.run(made, check=True, capture_output=True)
    (tmp_path / "data" / "train.jsonl").write_text(json.dumps({"text": REPEATED}) + "\n")
    [config] = tmp_path.glob("config/*_nano.yaml")
    model = config.name.removesuffix("_nano.yaml")
    theirs = _losses(_train(tmp_path, model, trainer__num_train_steps=3))
    _train(tmp_path, model, engine="local", trainer__num_train_steps=3, trainer__id=f"{model}_ours")
    log = (tmp_path / "logs" / f"{model}_ours.jsonl").read_text().splitlines()
    assert len(theirs) == 3
    np.testing.assert_allclose(theirs, [json.loads(line)["loss"] for line in log], rtol=1e-5)


def test_it_starts_from_a_folder_of_transformers(project: Path) -> None:
    """The first loss goes on where the exported model was, not where a fresh one begins."""
    _train(
        project, "llama", trainer__id="teacher", trainer__num_train_steps=30, hf_save_path="exports/t", hf_save_steps=29
    )
    (export,) = (project / "exports" / "t").rglob("step-29")
    output = _train(project, "llama", trainer__id="student", trainer__num_train_steps=1, initialize_from_hf=str(export))
    assert _losses(output)[0] < 4.5 < np.log(258)


@pytest.mark.parametrize("model", ["llama", "gpt2"])
def test_four_devices_give_the_loss_and_the_export_of_one(project: Path, model: str) -> None:
    """Parameters sharded over all devices: Levanter's own export writes truncated tensors there."""
    common = {"trainer__num_train_steps": 3, "hf_save_steps": 2}
    one = _train(project, model, trainer__id=f"one_{model}", hf_save_path=f"exports/one_{model}", **common)
    four = _train(
        project, model, FOUR_DEVICES, trainer__id=f"four_{model}", hf_save_path=f"exports/four_{model}", **common
    )
    np.testing.assert_allclose(_losses(four), _losses(one), rtol=1e-5)
    (ours,), (theirs,) = (
        (project / "exports" / f"{n}_{model}").rglob("step-2/model.safetensors") for n in ("one", "four")
    )
    expected, found = load_file(ours), load_file(theirs)
    assert {name: array.shape for name, array in found.items()} == {n: a.shape for n, a in expected.items()}
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-4, err_msg=name)


def test_two_processes_give_the_loss_of_one(project: Path) -> None:
    one = _losses(_train(project, "llama", trainer__id="alone", trainer__num_train_steps=2))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    both = [
        _command(
            "llama",
            {
                "trainer.id": "together",
                "trainer.num_train_steps": 2,
                "trainer.distributed.coordinator_address": address,
                "trainer.distributed.num_processes": 2,
                "trainer.distributed.process_id": number,
                "trainer.jax_config": "{jax_cpu_collectives_implementation: gloo}",
            },
        )
        for number in range(2)
    ]
    outputs = _side_by_side(both, project)
    assert _losses(outputs[0]) == pytest.approx(one, rel=1e-5)


def _side_by_side(commands: Sequence[list[str]], project: Path) -> list[str]:
    running = [
        subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command in commands
    ]
    outputs = [process.communicate(timeout=600)[0] for process in running]
    for process, output in zip(running, outputs, strict=True):
        assert process.returncode == 0, output[-4000:]
    return outputs


STEP_0 = """
import json, sys
from pathlib import Path
import haliax as hax, jax, jax.random as jrandom
from levanter.models.lm_model import LmExample
from levgen.runtime import LmExample as OurExample
from levgen.training.setup import prepare
from levgen.training.validate import load

for name in sys.argv[1:]:
    setup = prepare(load(Path(f"config/{name}_nano.yaml"), overrides=["trainer.tracker.type=noop"]))
    training = setup.training
    tokens = jrandom.randint(jrandom.PRNGKey(0), (training.Pos.size,), 0, 200)
    named = hax.named(tokens, training.Pos)
    _, _, model_key, _ = jrandom.split(jrandom.PRNGKey(training.seed), 4)
    model = training.model_config.build(training.Vocab, key=model_key)
    losses = [model.compute_next_token_loss(kind.causal(named)).item() for kind in (OurExample, LmExample)]
    print("losses", name, json.dumps(losses))
"""


def test_an_example_of_levanters_has_the_loss_of_ours(project: Path) -> None:
    models = [*MODELS, *MIXTURES]
    done = subprocess.run(
        [sys.executable, "-c", STEP_0, *models], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    losses = {
        name: json.loads(pair) for _, name, pair in (line.split(" ", 2) for line in done.stdout.strip().splitlines())
    }
    assert list(losses) == models
    for name, (ours, theirs) in losses.items():
        assert theirs == pytest.approx(ours, rel=1e-6), name
