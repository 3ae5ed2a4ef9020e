"""What a sweep measures of a model that a survey settled: its files, and its equality in the tiny config and in others.

Every figure is of fp32 on CPU, with all parameters of the reference random.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError
from levgen.reference.sizing.values import VOCAB
from levgen.reference.tiny import Tiny
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.port import load_port
from levgen.survey.rebuild import GRADIENTS, LOGITS, Pair, pair
from levgen.survey.sweep.draw import draw

if TYPE_CHECKING:
    from levgen.scaffold.files import PlannedFile

DRAWS = 2
# Operations of the lowered gradient of the loss, of a deep model against a shallow one.
SHALLOW, DEEP, GROWTH = 12, 48, 1.2
PASSED = re.compile(r"\d+ passed")
# Of a model with stubs: what needs them is expected to fail.
PASSED_AROUND = re.compile(r"\d+ passed, \d+ xfailed")
Columns = dict[str, Any]


def measure_columns(architecture: Architecture, tiny: Tiny, project: Path, say: Callable[[Columns], None]) -> Columns:
    """Generation, forward, gradients, long positions, round trip, compile growth and tests, each with what failed.

    The files go into the project at `project`. `say` is given what is known so far, whenever there is more of it: a
    sweep may run out of time.
    """
    from levgen.scaffold.complete import complete

    completed = complete(architecture)
    columns: Columns = {"generation": None, "configs": [], "growth": None, "tests": None}
    columns["generation"] = generation(completed, tiny.found.model_type, project)
    say(columns)
    port = load_port(completed)
    for index in range(DRAWS + 1):
        columns["configs"].append(_compared(completed, port, tiny, index))
        say(columns)
    columns["growth"] = growth(completed, port, tiny)
    say(columns)
    columns["tests"] = generated_tests(tiny.found.model_type, project)
    return columns


def stub_names(architecture: Architecture, model_type: str) -> list[str]:
    """The classes of a generated model that are stubs."""
    from levgen.scaffold.names import model_name
    from levgen.scaffold.views.port import PortView

    return [own.class_name for own in PortView(architecture, model_name(model_type)).unknown.values()]


def is_green(columns: Mapping[str, Any], *, stubs: bool = False) -> bool:
    """Whether everything was measured, and holds; with `stubs`, around these."""
    configs = columns["configs"]
    return (
        columns["generation"] == ""
        and len(configs) == DRAWS + 1
        and all(holds(config) for config in configs)
        and columns["growth"] is not None
        and columns["growth"] <= GROWTH
        and columns["tests"] is not None
        and (PASSED_AROUND if stubs else PASSED).fullmatch(columns["tests"]) is not None
    )


def holds(config: Mapping[str, Any]) -> bool:
    """Whether the model equals its reference in one config."""
    if config["problem"] != "" or config["round_trip"] != "":
        return False
    limits = {"forward": LOGITS, "long": LOGITS, "gradients": GRADIENTS}
    return all(config[name] <= limit for name, limit in limits.items())


def generation(architecture: Architecture, model_type: str, root: Path) -> str:
    """Writes the files of this model into the project at `root` and asks ruff; what it found, or nothing."""
    from levgen.scaffold.names import model_name
    from levgen.scaffold.port import port_files
    from levgen.scaffold.project import find_project

    files = port_files(architecture, model_name(model_type), find_project(root))
    write(root, files)
    written = [file.path for file in files if file.path.endswith(".py")]
    for arguments in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--output-format=concise", *written]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"ruff {arguments[0]}: {(done.stdout or done.stderr).strip().splitlines()[0]}"
    return ""


def generated_tests(model_type: str, root: Path) -> str:
    """Runs the test file that was generated with the model, in the project at `root`: "35 passed", or what failed."""
    from levgen.scaffold.names import model_name
    from levgen.scaffold.project import find_project

    tests = find_project(root).tests / f"test_{model_name(model_type).snake}.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or [f"exit {done.returncode}"]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return ", ".join([lines[-1].partition(" in ")[0], *failed])[:200]


def write(root: Path, files: Iterable["PlannedFile"]) -> None:
    """Writes `files` under `root`, over what is there: a sweep's folder is nobody's work."""
    for file in files:
        path = root / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content, encoding="utf-8")


def _compared(architecture: Architecture, port: Any, tiny: Tiny, index: int) -> Columns:
    """One config, the tiny one at 0: what was drawn, the errors, and what broke off."""
    import jax

    result: Columns = {"changes": {}, "forward": None, "long": None, "gradients": None, "round_trip": None}
    try:
        changes = draw(architecture, port, tiny, f"{tiny.found.model_type} {index}") if index else {}
        result["changes"] = _beside(tiny, changes)
        both = pair(architecture, port, tiny, changes)
        result |= {"forward": both.logits_error(LENGTH), "long": both.logits_error(), "positions": both.ids.shape[1]}
        result["gradients"], dead = both.gradient_error()
        result["round_trip"] = round_trip(architecture, both)
        problem = f"parameters without effect: {', '.join(dead)}" if dead else ""
    except LevgenError as error:
        problem = error.message
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    jax.clear_caches()
    return {**result, "problem": problem[:300]}


def _beside(tiny: Tiny, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `changes` in which they are beside the tiny config."""
    config = tiny.config()
    return {name: value for name, value in changes.items() if getattr(config, name, None) != value}


def round_trip(architecture: Architecture, both: Pair) -> str:
    """transformers writes, we read and write, transformers reads: what isn't the same bit for bit, or nothing."""
    from levgen.runtime import load_hf, save_hf
    from levgen.runtime.parity import Ported

    config, model_class = both.ported.model.config, type(both.ported.model)
    if type(config).from_hf_config(config.to_hf_config(VOCAB)) != config:
        return "the config comes back as another"
    with tempfile.TemporaryDirectory(prefix="levgen-") as scratch:
        theirs, ours = Path(scratch) / "theirs", Path(scratch) / "ours"
        both.ported.reference.save_pretrained(theirs)
        save_hf(load_hf(model_class, theirs), ours)
        differing = Ported.differing_tensors(both.ported.reference, ours)
    return f"other bits in {', '.join(differing[:3])}" if differing else ""


def growth(architecture: Architecture, port: Any, tiny: Tiny) -> float:
    """How many more operations XLA is given at DEEP layers than at SHALLOW, for the loss and its gradient.

    A count, not a time: it is the same on a busy machine. 1.0 where layers are scanned.
    """
    shallow, deep = (operations(architecture, port, tiny, layers) for layers in (SHALLOW, DEEP))
    return deep / shallow


def operations(architecture: Architecture, port: Any, tiny: Tiny, layers: int) -> int:
    """The number of operations of the lowered loss and gradient of the tiny config with so many `layers`."""
    import dataclasses

    import equinox as eqx
    import jax
    import jax.numpy as jnp
    from haliax import Axis, NamedArray

    from levgen.runtime.abstract import abstract_model
    from levgen.runtime.parity import loss_gradients
    from levgen.runtime.stand_in import without_stubs

    base = port.SurveyedConfig.from_hf_config(tiny.config())
    config = dataclasses.replace(base, **deepened(architecture, base, layers))
    model = without_stubs(abstract_model(port.SurveyedLMHeadModel, config, VOCAB), stub_classes(architecture, port))
    shapes, static = eqx.partition(model, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))

    def gradients(shapes: Any, ids: Any) -> Any:
        tokens = NamedArray(ids, (Axis("batch", 1), Axis("position", LENGTH)))
        return loss_gradients(eqx.combine(shapes, static), tokens)

    lowered = jax.jit(gradients).lower(shapes, jax.ShapeDtypeStruct((1, LENGTH), jnp.int32)).as_text()
    return sum(" = " in line for line in lowered.splitlines())


def stub_classes(architecture: Architecture, port: Any) -> list[Any]:
    """The classes of `port`, the module of `architecture`, that are stubs."""
    return [getattr(port, name) for name in stub_names(architecture, "surveyed")]


def deepened(architecture: Architecture, base: Any, layers: int) -> dict[str, Any]:
    """Changes to `base` that give it so many layers, lists by layer repeated."""
    from levgen.scaffold.views.parity import LISTS

    changes: dict[str, Any] = {"num_layers": layers}
    for name in LISTS:
        if name in architecture.hyperparameters:
            held = getattr(base, name)
            changes[name] = tuple(held[i % len(held)] for i in range(layers))
    if "attention_types" in architecture.hyperparameters:
        changes["attention_types"] = ((("global", "local"), layers // 2),)
    return changes
