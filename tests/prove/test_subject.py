"""Finding a model and the configs that its tests compare."""

from pathlib import Path

import pytest

from levgen.errors import LevgenError
from levgen.prove.subject import BrokenModelError, find_files, load_subject


def test_configs_are_those_of_the_test_file(subject):
    loaded = subject("llama")
    assert loaded.config.hidden_dim == 48
    assert loaded.variations["num_kv_heads=1"].num_kv_heads == 1
    assert set(loaded.rotations) == {"default", "linear", "dynamic", "yarn", "llama3", "longrope"}
    assert loaded.rotations["yarn"].rope.kind == "yarn"
    assert loaded.rotations["yarn"].num_layers == 2, "as the test makes it of the parameter"


def test_a_model_without_rotation_has_no_rotations(subject):
    loaded = subject("gpt2")
    assert loaded.rotations == {}
    assert "tie_word_embeddings=False" in loaded.variations


def test_an_unknown_model_names_the_nearest(project: Path):
    with pytest.raises(LevgenError, match=r"no model 'lama'.*\n.*did you mean 'llama'"):
        find_files("lama", project)


def test_a_folder_without_a_project(tmp_path: Path):
    with pytest.raises(LevgenError, match="in no project"):
        find_files("llama", tmp_path)


def test_a_model_without_tests(project: Path):
    (project / "tests" / "test_llama.py").unlink()
    with pytest.raises(LevgenError, match="has no tests"):
        find_files("llama", project)


def test_tests_without_a_tiny_config(project: Path):
    path = project / "tests" / "test_llama.py"
    path.write_text(path.read_text().replace("TINY = ", "SMALL = "))
    with pytest.raises(LevgenError, match="no config TINY"):
        load_subject(find_files("llama", project))


def test_a_model_that_cannot_be_imported_says_where(project: Path):
    path = project / "models" / "llama.py"
    path.write_text(path.read_text() + "\nundefined_name\n")
    with pytest.raises(BrokenModelError, match=r"models/llama.py can't be imported: line \d+: NameError"):
        load_subject(find_files("llama", project))
