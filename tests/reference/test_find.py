"""Finding an implementation: by type, and in a folder with code of its own."""

import json
from pathlib import Path

import pytest

from levgen.errors import LevgenError
from levgen.reference.find import find_folder, find_type, own_code
from levgen.reference.hf_config import read_hf_config

pytest.importorskip("torch")
pytest.importorskip("transformers")

INVENTED = Path(__file__).parent.parent / "survey" / "invented"


def test_a_type_gives_its_config_and_model_class() -> None:
    found = find_type("gpt2")
    assert (found.config_class.__name__, found.model_class.__name__) == ("GPT2Config", "GPT2LMHeadModel")
    assert found.module == "transformers.models.gpt2.modeling_gpt2"


def test_dashes_and_underscores_are_one() -> None:
    assert find_type("openai_gpt").model_type == "openai-gpt"


def test_an_unknown_type_names_the_nearest() -> None:
    with pytest.raises(LevgenError, match="did you mean 'llama'"):
        find_type("lama")


def test_code_of_a_folder_needs_consent() -> None:
    with pytest.raises(LevgenError, match=r"willow\.py") as error:
        find_folder(INVENTED / "willow")
    assert "--trust-remote-code" in str(error.value)


def test_code_of_a_folder_is_imported_from_it() -> None:
    found = find_folder(INVENTED / "willow", trust_remote_code=True)
    assert found.model_type == "willow"
    assert found.config(storeys=2).storeys == 2
    assert found.config().breadth == 256


def test_a_folder_without_code_is_of_its_type(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 64}))
    found = find_folder(tmp_path)
    assert found.model_class.__name__ == "LlamaForCausalLM"
    assert found.config().hidden_size == 64


def test_auto_map_stays_inside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "x", "auto_map": {"AutoConfig": "../evil.C", "AutoModelForCausalLM": "../evil.M"}})
    )
    with pytest.raises(LevgenError, match="has no file"):
        find_folder(tmp_path, trust_remote_code=True)


def test_all_code_of_a_folder_is_named() -> None:
    folder = INVENTED / "heron"
    code = own_code(folder, read_hf_config(folder))
    assert code is not None
    assert [path.name for path in code.files] == ["plumage.py", "wings.py"]


@pytest.mark.parametrize("auto_map", [["x.Y"], {"AutoConfig": "x.C"}, {"AutoConfig": 1, "AutoModelForCausalLM": None}])
def test_an_auto_map_that_names_no_model_is_refused(tmp_path: Path, auto_map: object) -> None:
    with pytest.raises(LevgenError, match="doesn't name"):
        own_code(tmp_path, {"model_type": "x", "auto_map": auto_map})


def test_a_folder_without_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LevgenError, match=r"config\.json can't be read"):
        find_folder(tmp_path)
