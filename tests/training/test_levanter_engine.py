"""The hand-over to Levanter, with a stand-in for it that records how it was called."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from levgen.errors import LevgenError
from levgen.training.levanter import run_levanter

STAND_IN = {
    "levanter/__init__.py": "",
    "levanter/models/__init__.py": "",
    "levanter/models/lm_model.py": """
class LmConfig:
    choices = {"tiny": "Levanter's own model of that name"}
    get_known_choices = classmethod(lambda cls: cls.choices)
""",
    "levanter/compat/__init__.py": "",
    "levanter/compat/hf_checkpoints.py": """
import abc
class HFCompatConfig(abc.ABC):
    pass
""",
    "levanter/main/__init__.py": "",
    "levanter/main/train_lm.py": """
import json, os, sys
from levanter.compat.hf_checkpoints import HFCompatConfig
from levanter.models.lm_model import LmConfig
if __name__ == "__main__":
    with open("called.json", "w") as file:
        json.dump([sys.argv[1:], os.getcwd(), LmConfig.get_known_choices()["tiny"].__module__,
            issubclass(LmConfig.get_known_choices()["tiny"], HFCompatConfig)], file)
""",
}


@pytest.fixture
def levanter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, content in STAND_IN.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(sys, "argv", ["levgen"])
    for name in _imported():
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in _imported():
        del sys.modules[name]


def _imported() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "levanter"]


@pytest.mark.usefixtures("levanter")
def test_the_project_s_model_takes_the_place_of_levanters(
    project: Path, yaml_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml_file(("  seed: 0", "  jax_config: {}"))  # a key that only Levanter has
    monkeypatch.chdir(project / "config")
    run_levanter(Path("tiny.yaml"), ["trainer.num_train_steps=3", "trainer.load_checkpoint=true"])
    assert json.loads((project / "called.json").read_text()) == [
        [
            *("--config_path", str(project / "config" / "tiny.yaml")),
            *("--trainer.num_train_steps", "3", "--trainer.load_checkpoint", "true"),
        ],
        str(project),  # Levanter sees relative paths from here
        "models.tiny",
        True,
    ]


@pytest.mark.usefixtures("levanter")
def test_names_are_checked_before_levanter_starts(yaml_file: Callable[..., Path]) -> None:
    path = yaml_file(("steps_per_eval: 15", "steps_per_evl: 15"))
    with pytest.raises(LevgenError, match="unknown key; did you mean 'steps_per_eval'"):
        run_levanter(path, [])
    assert not Path("called.json").exists()
