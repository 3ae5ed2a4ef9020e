"""Modules added to whole models: stubs filled one after another, a norm, a second attention, a person's own model."""

import ast
import difflib
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruff import find_ruff_bin

import levgen
from levgen.errors import LevgenError
from levgen.scaffold.edit import add_module as adding
from levgen.scaffold.edit import model_tests
from levgen.scaffold.edit.add_module import Request, add_module, choose_model, models_of
from levgen.scaffold.edit.kinds import KINDS, find_kind
from levgen.scaffold.edit.record import read_record

STUB_KINDS = ["lm-head", "mlp", "decoder-layer", "attention", "embeddings", "transformer"]


def add(project, model, kind, *settings, **request):
    """Adds a module and writes the files; returns the notes."""
    addition = add_module(project, model, Request(find_kind(kind), settings=settings, **request))
    for file in addition.files:
        path = project.root / file.path
        assert file.replaces is None or path.read_text() == file.replaces
        path.write_text(file.content)
    return addition.notes


def texts(project, model):
    return [(project.root / folder).read_text() for folder in (f"models/{model}.py", f"tests/test_{model}.py")]


def ruff(project, *arguments):
    return subprocess.run([find_ruff_bin(), *arguments, "."], cwd=project.root, capture_output=True, text=True)


def assert_in_style(project):
    for arguments in (["check"], ["format", "--check"]):
        done = ruff(project, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def removed(before, after):
    """The lines of `before` that are gone."""
    return [line[2:] for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line.startswith("- ")]


def run_tests(project, *arguments):
    """What `pytest` of the project says in its last line."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=project.root,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(levgen.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture
def filled(project_with):
    """A model of stubs, all of them filled."""
    project = project_with("my_model")
    for kind in STUB_KINDS:
        add(project, "my_model", kind)
        assert_in_style(project)
    return project


def test_stubs_are_filled_one_after_another(filled):
    model, tests = texts(filled, "my_model")
    assert "NotImplementedError" not in model + tests
    assert "xfail" not in tests
    assert "be written" not in model
    assert model.startswith('"""MyModel: a decoder with rotary positions, grouped-query attention and a gated MLP.')
    record = read_record(filled.root / ".levgen/my_model.yaml", "record")
    assert record.architecture.stubs == ()
    with pytest.raises(LevgenError, match="MyModelAttention already"):
        add(filled, "my_model", "attention")


@pytest.mark.slow
def test_a_model_whose_stubs_are_filled_passes_all_its_tests(filled):
    assert "10 passed" in run_tests(filled)


@pytest.mark.slow
def test_tests_of_a_model_with_some_stubs_filled_pass_or_wait(project_with):
    project = project_with("my_model")
    for kind in STUB_KINDS[:4]:
        add(project, "my_model", kind)
    last = run_tests(project)
    assert "4 passed" in last
    assert "6 xfailed" in last


def test_a_mark_waits_for_what_is_left(project_with):
    project = project_with("my_model")
    add(project, "my_model", "attention")
    tests = texts(project, "my_model")[1]
    mark = tests[: tests.index("def test_decoder_layer_forward")].rpartition("@pytest.mark.xfail")[2]
    assert '"to be written: MyModelMlp, MyModelDecoderLayer"' in mark
    assert "\n\n\ndef test_attention_forward" in tests
    assert "MyModelAttention" not in "".join(line for line in tests.splitlines() if "reason" in line or "to be" in line)


def test_answers_of_a_filled_stub_are_kept_for_the_next(project_with):
    project = project_with("my_model")
    notes = add(project, "my_model", "attention", "norm.kind=layer", "attention.qk_norm=head", variant="multi-head")
    assert notes == ("fills MyModelAttention", "adds to MyModelConfig: Heads")
    add(project, "my_model", "transformer")
    model, _ = texts(project, "my_model")
    assert 'QHeadsPerGroup", ' not in model
    assert model.index("KVHeads = ") < model.index('    Heads = property(lambda self: Axis("heads", self.num_heads))')
    assert "q_norm: LayerNorm  # over HeadSize" in model
    assert "norm: LayerNorm\n" in model
    assert "RmsNorm" not in model
    record = read_record(project.root / ".levgen/my_model.yaml", "record").architecture
    assert (record.norm.kind, record.attention.heads, "num_kv_heads" in record.hyperparameters) == (
        "layer",
        "multi",
        True,
    )
    assert_in_style(project)


def test_a_stub_with_a_signature_of_another_model_is_not_filled(project_with):
    project = project_with("my_model")
    before = texts(project, "my_model")
    with pytest.raises(LevgenError, match=r"the signature __call__\(self, x, mask, pos_ids\), now \(self, x, mask\)"):
        add(project, "my_model", "attention", "positions.kind=learned")
    assert texts(project, "my_model") == before


def test_what_a_person_wrote_into_a_stub_is_lost_by_force_only(project_with):
    project = project_with("my_model")
    path = project.root / "models/my_model.py"
    path.write_text(path.read_text().replace('"""The channel block. To be written."""', '"""A mixture, one day."""'))
    with pytest.raises(LevgenError, match=r"filling MyModelMlp would lose.*\n  its docstring"):
        add(project, "my_model", "mlp")
    add(project, "my_model", "mlp", force=True)
    assert "one day" not in path.read_text()


def test_a_norm_beside_a_finished_model(project_with):
    project = project_with("llama")
    before = texts(project, "llama")
    notes = add(project, "llama", "norm")
    after = texts(project, "llama")
    assert removed(before[0], after[0]) == []
    assert removed(before[1], after[1]) == [
        "from levgen.runtime import AttentionMask, LmExample, Rotary, load_hf, save_hf"
    ]
    assert (
        after[0].index("class LlamaConfig") < after[0].index("class LlamaNorm") < after[0].index("class LlamaAttention")
    )
    assert (
        after[1].index("def test_transformer_forward")
        < after[1].index("def test_norm_forward")
        < after[1].index("# Files")
    )
    assert notes[0] == "adds LlamaNorm"
    assert "make it the type of LlamaDecoderLayer.input_layernorm or" in notes[1]
    assert_in_style(project)


def test_a_second_attention(project_with):
    project = project_with("llama")
    before = texts(project, "llama")
    notes = add(project, "llama", "attention", "attention.qk_norm=head", name="MyLlamaLocalAttention")
    model, tests = texts(project, "llama")
    assert removed(before[0], model) == removed(before[1], tests) == []
    assert (
        model.index("class LlamaAttention") < model.index("class MyLlamaLocalAttention") < model.index("class LlamaMlp")
    )
    assert '-> "MyLlamaLocalAttention":' in model
    assert "def test_my_llama_local_attention_forward() -> None:" in tests
    assert notes[-1] == (
        "nothing uses MyLlamaLocalAttention yet: make it the type of LlamaDecoderLayer.self_attn, and "
        "MyLlamaLocalAttention.init(...) its value in init"
    )
    assert_in_style(project)
    with pytest.raises(LevgenError, match="has MyLlamaLocalAttention already"):
        add(project, "llama", "attention", name="MyLlamaLocalAttention")


def test_latent_attention_beside_another(project_with):
    """Its sizes are fields and axes of its own: those of the attention that is there stay what they were."""
    project = project_with("qwen3")
    before, _ = texts(project, "qwen3")
    notes = add(project, "qwen3", "mla")
    assert notes[0] == "adds Qwen3LatentAttention"
    model, tests = texts(project, "qwen3")
    own = model[model.index("class Qwen3LatentAttention") : model.index("class Qwen3Mlp")]
    assert "latent_attention(" in own
    assert "HeadSize" not in re.sub(r"(Qk|V|Nope|Rope)HeadSize", "", own)
    assert "q_norm" not in own
    assert removed(before, model) == []
    assert "def test_latent_attention_forward" in tests
    assert_in_style(project)
    with pytest.raises(LevgenError, match="has Qwen3LatentAttention already"):
        add(project, "qwen3", "mla")


def test_latent_attention_fills_a_stub(project_with):
    project = project_with("my_model")
    assert add(project, "my_model", "mla")[0] == "fills MyModelAttention"
    record = read_record(project.root / ".levgen/my_model.yaml", "record").architecture
    assert record.attention.heads == "latent"
    assert record.hyperparameters["kv_lora_rank"].default == 512
    assert_in_style(project)


def test_an_indexer_comes_before_the_attention_that_is_made_of_it(project_with):
    project = project_with("llama")
    with pytest.raises(LevgenError, match="LlamaLatentAttention is made of a LlamaIndexer") as refused:
        add(project, "llama", "mla", "attention.indexer=every")
    assert refused.value.hint == "add that first: levgen add-module indexer"
    assert add(project, "llama", "indexer")[0] == "adds LlamaIndexer"
    add(project, "llama", "mla", "attention.indexer=every")
    model, tests = texts(project, "llama")
    assert model.index("class LlamaIndexer") < model.index("class LlamaLatentAttention")
    assert "def test_indexer_chooses_as_many_keys_as_it_may" in tests
    assert_in_style(project)


def test_latent_attention_is_refused_where_it_does_not_fit(project_with):
    project = project_with("gemma2")
    before = texts(project, "gemma2")
    with pytest.raises(LevgenError, match=r"attention\.softcap=attn_logit_softcapping is not known with"):
        add(project, "gemma2", "mla")
    assert texts(project, "gemma2") == before


@pytest.mark.slow
def test_a_model_works_with_latent_attention_in_place_of_its_own(project_with):
    project = project_with("llama")
    add(project, "llama", "mla")
    path = project.root / "models/llama.py"
    layer = path.read_text().replace("self_attn: LlamaAttention", "self_attn: LlamaLatentAttention")
    path.write_text(layer.replace("self_attn=LlamaAttention.init", "self_attn=LlamaLatentAttention.init"))
    last = run_tests(project, "-k", "latent or scanned or files_round_trip")
    assert "passed" in last
    assert "failed" not in last


def test_an_answer_may_name_a_field_that_a_person_added(project_with):
    project = project_with("llama")
    path = project.root / "models/llama.py"
    with pytest.raises(LevgenError, match=r"attention\.softcap names the hyperparameter 'cap'"):
        add(project, "llama", "attention", "attention.softcap=cap", name="LlamaCappedAttention")
    path.write_text(
        path.read_text().replace("    head_dim: int = 128\n", "    head_dim: int = 128\n    cap: float = 50.0\n")
    )
    add(project, "llama", "attention", "attention.softcap=cap", name="LlamaCappedAttention")
    assert "softcap=self.config.cap" in path.read_text()


def test_fields_that_are_missing_come_with_their_entry_in_the_table(project_with):
    """Of a model with a reference: its MLP was taken out by hand, and comes back."""
    project = project_with("llama")
    path = project.root / "models/llama.py"
    text = path.read_text()
    tree = ast.parse(text)
    mlp = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "LlamaMlp")
    lines = text.splitlines(keepends=True)
    del lines[mlp.lineno - 1 : mlp.end_lineno]
    gone = (
        "    intermediate_dim: int",
        '            "intermediate_dim"',
        "    Mlp = property",
        "    activation: str",
        '            "activation"',
    )
    path.write_text("".join(line for line in lines if not line.startswith(gone)))
    notes = add(project, "llama", "mlp")
    assert notes[1] == "adds to LlamaConfig: intermediate_dim, activation, Mlp"
    after = path.read_text()
    assert (
        '"tie_word_embeddings": "tie_word_embeddings",\n            "intermediate_dim": "intermediate_size",\n' in after
    )
    assert "    tie_word_embeddings: bool = False\n    intermediate_dim: int = 11008\n" in after
    add(project, "llama", "norm", "norm.kind=layer")
    assert '"norm_eps": "rms_norm_eps"' in path.read_text()


def add_everything(project):
    add(project, "llama", "mlp")
    add(project, "llama", "norm")
    add(project, "llama", "transformer")
    add(project, "llama", "attention", name="LlamaOtherAttention", variant="multi-head")
    add(project, "llama", "decoder-layer", name="LlamaFullLayer")
    add(project, "llama", "embeddings")
    add(project, "llama", "lm-head", name="OtherModel")


def test_a_model_that_a_person_edited_keeps_every_line(edited_by_a_person):
    before = texts(edited_by_a_person, "llama")
    add_everything(edited_by_a_person)
    after = texts(edited_by_a_person, "llama")
    assert removed(before[0], after[0]) == [
        "from levgen.runtime import RmsNorm as Norm, LmHeadModel",
        '            "initializer_range": "initializer_range"   # the last, without a comma',
    ]
    assert '            "initializer_range": "initializer_range",   # the last, without a comma\n' in after[0]
    assert removed(before[1], after[1]) == [
        "from haliax import Axis",
        "from levgen.runtime import AttentionMask",
        "from models.llama import Hyperparameters as Config",
        "    num_heads=4, num_kv_heads=2, head_dim=8, max_seq_len=64  # small",
    ]
    assert (
        "    num_heads=4, num_kv_heads=2, head_dim=8, max_seq_len=64,  # small\n    intermediate_dim=80,\n" in after[1]
    )
    assert after[0].endswith("# the end, without a line end")
    assert "    @property\n    def Heads(self) -> Axis:\n" in after[0]
    assert "    @scoped\n    def __call__(self, x: NamedArray, mask: AttentionMask" in after[0]
    assert ruff(edited_by_a_person, "check", "--isolated", "--select=F821,F822,F823").returncode == 0


@pytest.mark.slow
def test_a_model_that_a_person_edited_passes_the_new_tests(edited_by_a_person):
    add_everything(edited_by_a_person)
    assert run_tests(edited_by_a_person).startswith("8 passed")


@pytest.mark.slow
def test_a_finished_model_with_more_modules_passes_its_tests(project_with):
    pytest.importorskip("torch")
    project = project_with("llama")
    add(project, "llama", "norm")
    add(project, "llama", "attention", "attention.qk_norm=head", name="MyLlamaLocalAttention")
    assert "failed" not in run_tests(project)


def test_a_test_file_that_is_not_there_is_written(project_with):
    project = project_with("llama")
    (project.root / "tests/test_llama.py").unlink()
    add(project, "llama", "norm")
    tests = texts(project, "llama")[1]
    assert tests.startswith('"""Tests of models/llama.py."""\n')
    assert [line.split("(")[0] for line in tests.splitlines() if line.startswith("def ")] == [
        "def _get_random_inputs",
        "def test_norm_forward",
    ]
    assert_in_style(project)


def test_refusals_change_nothing(project_with):
    project = project_with("llama")
    before = texts(project, "llama")
    for kind, settings, request, said in [
        ("attention", (), {}, r"models/llama\.py has LlamaAttention already \(line \d+\)"),
        ("attention", (), {"name": "LlamaMlp"}, "has LlamaMlp already"),
        ("attention", (), {"name": "Callable"}, "has Callable already"),
        ("attention", (), {"name": "not a name"}, "expected the name of a class"),
        ("attention", (), {"name": "A" * 200}, "expected the name of a class"),
        ("attention", (), {"name": "A", "variant": "groupd"}, "no such attention\ndid you mean 'grouped'"),
        ("attention", ("mlp.kind=plain",), {"name": "A"}, "no attention is written from mlp"),
        ("attention", ("attention.qk=head",), {"name": "A"}, "no such answer"),
        ("attention", ("hidden_dim=3",), {"name": "A"}, "LlamaConfig has hidden_dim already"),
        ("norm", ("norm.bias=true",), {}, "known for norm.kind=layer only"),
    ]:  # fmt: skip
        with pytest.raises(LevgenError, match=said):
            add(project, "llama", kind, *settings, **request)
    assert texts(project, "llama") == before


def test_a_layer_without_the_classes_that_it_is_made_of_is_refused(edited_by_a_person):
    with pytest.raises(LevgenError, match="LlamaFullLayer is made of a LlamaMlp") as refused:
        add(edited_by_a_person, "llama", "decoder-layer", name="LlamaFullLayer")
    assert refused.value.hint == "add that first: levgen add-module mlp"


def test_the_model_that_is_meant(project_with):
    project = project_with("llama")
    assert choose_model(project, None) == choose_model(project, "llama") == "llama"
    project_with("my_model")
    (project.root / "models/helpers.py").write_text("x = 1\n")
    assert models_of(project) == ["llama", "my_model"]
    assert choose_model(project, "my-model") == "my_model"
    for name, said in (
        (None, "which model is it?\nthe models are llama, my_model"),
        ("lama", "no model 'lama' in .*\ndid you mean 'llama'?"),
        ("../llama", "no model '../llama'"),
    ):
        with pytest.raises(LevgenError, match=said.replace("?", r"\?")):
            choose_model(project, name)


def test_records_that_are_broken_are_refused(project_with):
    project = project_with("my_model")
    for text, said in (
        ("a: [", "is not YAML"),
        ("a: 1\n", "is no record"),
        ("architecture: {x: 1}\n", "no such answer"),
    ):
        (project.root / ".levgen/my_model.yaml").write_text(text)
        with pytest.raises(LevgenError, match=said):
            add(project, "my_model", "mlp")


@pytest.mark.parametrize("seed", range(40))
def test_any_edit_of_a_person_is_coped_with_or_refused(project_with, edited_by_a_person, monkeypatch, seed):
    """Lines deleted, doubled and swapped at random: a clear refusal, or a file in which no other line is gone."""
    for module in (adding, model_tests):
        monkeypatch.setattr(module, "restyle", lambda before, after, path: after)
    project, chance = edited_by_a_person, random.Random(seed)
    name = chance.choice(["llama", "my_model"])
    if name == "my_model":
        project_with(name)
    files = [project.root / f"models/{name}.py", project.root / f"tests/test_{name}.py"]
    for path in files:
        lines = path.read_text().splitlines(keepends=True)
        for _ in range(chance.randint(0, 3)):
            one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
            change = chance.choice(["delete", "double", "swap"])
            if change == "swap":
                lines[one], lines[other] = lines[other], lines[one]
            lines[one : one + 1] = {"delete": [], "double": [lines[one]] * 2, "swap": [lines[one]]}[change]
        path.write_text("".join(lines))
    before = [path.read_text() for path in files]
    request = Request(chance.choice(list(KINDS.values())), chance.choice([None, "Another"]))
    try:
        planned = add_module(project, name, request).files
    except LevgenError:
        planned = ()
    for file in planned:
        if file.path.endswith(".py"):
            ast.parse(file.content)
            expected = (
                "import",
                "NotImplementedError",
                "written",
                "xfail",
                '"MyModel',  # a line of the reason of a mark
                "config: ",
                "without a comma",
                "# small",
                '"""',
            )
            lost = removed(file.replaces, file.content)
            assert [line for line in lost if line.strip(" ),") and not any(word in line for word in expected)] == []
    assert [path.read_text() for path in files] == before
