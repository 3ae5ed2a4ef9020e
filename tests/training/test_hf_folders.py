"""Folders of transformers: a run exports them with its tokenizer, and starts from them."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from levgen.errors import LevgenError
from levgen.runtime.testing import skip_without_torch
from levgen.training.loop import train
from levgen.training.summary import Summary
from levgen.training.validate import load

SMALL = ["trainer.num_train_steps=3", "trainer.steps_per_eval=100", "trainer.tracker.type=noop"]


def run(console: Console, *overrides: str) -> Summary:
    return train(load(Path("config/tiny.yaml"), overrides=[*SMALL, *overrides]), console=console)


@pytest.mark.usefixtures("llama")
def test_exports_at_intervals_and_at_the_end_and_starts_from_them(console: Console) -> None:
    skip_without_torch()
    first = run(console, "hf_save_path=exports", "hf_save_steps=2", "trainer.id=first")
    assert sorted(path.name for path in Path("exports/first").iterdir()) == ["step-2", "step-3"]
    assert "step 2  exported to" in console.file.getvalue()

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = "exports/first/step-3"
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    assert (theirs.config.eos_token_id, theirs.config.bos_token_id) == (256, None)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.eos_token_id == 256
    tokens = np.load(next(Path(".cache/tokens/shipped").glob("*.npy")))[: 8 * 32].reshape(8, 32)
    assert tokenizer.decode(tokens[0][:8]) == bytes(tokens[0][:8].astype(np.uint8)).decode()

    # Step 0 of a run that starts from the export has the loss that transformers has on the same batch.
    same_batch = ["data.shuffle=false", "data.block_cross_document_attention=false", "trainer.num_train_steps=1"]
    again = run(console, f"initialize_from_hf={folder}", "trainer.id=again", *same_batch)
    assert "started from the weights in" in console.file.getvalue()
    assert again.losses is not None
    batch = torch.tensor(train_batch())
    assert again.losses[0] == pytest.approx(theirs(batch, labels=batch).loss.item(), rel=1e-5)
    assert first.losses is not None
    assert again.losses[0] < first.losses[0] - 0.2

    # Only the first run starts from the folder; it is needed no more after that.
    resumed = run(console, f"initialize_from_hf={folder}", "trainer.id=again", *same_batch[:2])
    assert resumed.steps == 3
    assert "resumed from step 1" in console.file.getvalue()


def train_batch() -> np.ndarray:
    """The first eight sequences of the training file, as its row of tokens is cut."""
    caches = [np.load(path) for path in Path(".cache/tokens/shipped").glob("*.npy")]
    return max(caches, key=len)[: 8 * 32].reshape(8, 32).astype(np.int64)


@pytest.mark.usefixtures("llama")
def test_config_of_the_folder_and_another_vocabulary(console: Console) -> None:
    run(console, "hf_save_path=exports", "trainer.num_train_steps=1", "hf_save_dtype=bfloat16")
    folder = Path("exports/tiny/step-1")
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    start = [f"initialize_from_hf={folder}", "trainer.id=next", "trainer.num_train_steps=1", "model.num_layers=1"]
    with pytest.raises(LevgenError, match=r"unexpected model\.layers\.1\.") as caught:
        run(console, *start)
    assert str(folder) in caught.value.message
    run(console, *start, "use_hf_model_config=true", "data.vocab_size=300")
    assert "258 tokens, is grown, each new row the mean of the old, to 300" in console.file.getvalue()


def test_refused(project: Path, console: Console) -> None:
    with pytest.raises(LevgenError, match=r"initialize_from_hf: expected a folder with a config\.json, got 'model'"):
        run(console, "initialize_from_hf=model")
    with pytest.raises(LevgenError, match="use_hf_model_config: needs initialize_from_hf"):
        run(console, "use_hf_model_config=true")
    with pytest.raises(LevgenError, match="initialize_from_hf: true, for the model's own checkpoint on the hub"):
        run(console, "initialize_from_hf=true")
    (project / "other").mkdir()
    (project / "other" / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(LevgenError, match="TinyConfig reads a config of model_type 'tiny', found 'gpt2'"):
        run(console, "initialize_from_hf=other")
