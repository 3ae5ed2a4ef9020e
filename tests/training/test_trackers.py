"""Trackers, with stand-ins for the packages that record what they are told."""

import json
import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from levgen.errors import LevgenError
from levgen.training.project import find_project
from levgen.training.schema import JsonLogger, Noop, Tensorboard, Tracker, Wandb
from levgen.training.trackers import check_installed, levanter_name, open_trackers

Calls = list[tuple[Any, ...]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made: Calls = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int) -> None:
            made.append(("writer", folder, purge_step))

        def add_scalar(self, *arguments: Any) -> None:
            made.append(arguments)

        def close(self) -> None:
            made.append(("closed",))

    class Run:
        def log(self, values: dict[str, float], step: int) -> None:
            made.append((values, step))

        def finish(self) -> None:
            made.append(("finished",))

    def init(**settings: Any) -> Run:
        made.append(("init", settings))
        return Run()

    for name, attribute in (("tensorboardX", SummaryWriter), ("wandb", init)):
        module = ModuleType(name)
        setattr(module, attribute.__name__, attribute)
        monkeypatch.setitem(sys.modules, name, module)
    return made


def log(project: Path, *trackers: Tracker) -> None:
    with open_trackers(
        trackers,
        run_id="run",
        project=find_project(project / "config"),
        json_file=project / "run.jsonl",
        first_step=4,
        config={"train_seq_len": 8},
    ) as opened:
        opened.log(4, {"loss": 2.0, "eval_loss/web": 3.0})


def test_every_tracker_of_a_list_is_told(project: Path, calls: Calls) -> None:
    log(project, JsonLogger(), Tensorboard(), Wandb(project="p", tags=["a"]), Noop())
    assert json.loads((project / "run.jsonl").read_text()) == {"step": 4, "loss": 2.0, "eval_loss/web": 3.0}
    settings = {"project": "p", "tags": ["a"], "resume": "allow", "id": "run", "dir": str(project)}
    assert calls == [
        ("writer", str(project / "tblogs" / "run"), 4),
        ("init", {**settings, "config": {"train_seq_len": 8}}),
        ("train/loss", 2.0, 4),
        ("eval/web/loss", 3.0, 4),
        ({"train/loss": 2.0, "eval/web/loss": 3.0}, 4),
        ("finished",),
        ("closed",),
    ]


def test_names() -> None:
    assert [levanter_name(name) for name in ("eval_loss", "loss", "other")] == ["eval/loss", "train/loss", "other"]


@pytest.mark.parametrize(("tracker", "extra"), [(Tensorboard(), "tensorboard"), (Wandb(), "wandb")])
def test_a_missing_package_is_said_before_the_run(
    tracker: Tracker, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tensorboardX", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(LevgenError, match=f"trainer.tracker: {extra} needs the package") as caught:
        check_installed([JsonLogger(), tracker])
    assert caught.value.hint == f"pip install 'levgen[{extra}]'"


def test_event_files_of_the_real_package(project: Path) -> None:
    pytest.importorskip("tensorboardX")
    log(project, Tensorboard())
    (events,) = (project / "tblogs" / "run").iterdir()
    assert b"train/loss" in events.read_bytes()


def test_a_file_of_tensorboard_holds_what_was_logged(project: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    log(project, Tensorboard())
    [file] = (project / "tblogs" / "run").iterdir()
    content, events = file.read_bytes(), []
    while content:  # each event is its length (8 bytes), a checksum of 4 bytes, the event, another checksum
        [length] = struct.unpack("<Q", content[:8])
        events.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    logged = {value.tag: (event.step, value.simple_value) for event in events for value in event.summary.value}
    assert logged == {"train/loss": (4, 2.0), "eval/web/loss": (4, 3.0)}
