"""The whole way of real weights: a project's model is trained on the shipped text, exported, and compared on a text."""

import os
import subprocess
import sys

import pytest

from levgen.prove.bench import Bench
from levgen.prove.outcome import Status
from levgen.prove.rungs.checkpoint import checkpoint

SMALL = ["hidden_dim=64", "intermediate_dim=128", "num_layers=2"]


@pytest.mark.slow
def test_a_trained_model_predicts_a_text_as_its_reference_does(project, subject, tmp_path):
    command = [sys.executable, "-m", "levgen", "train", "config/llama_nano.yaml", "--steps", "30"]
    for assignment in ["hf_save_path=exports", *(f"model.{change}" for change in SMALL)]:
        command += ["--set", assignment]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = (project / "exports/llama_nano").iterdir()

    right = subject("llama")
    outcome = checkpoint(Bench(right, checkpoint=folder))
    assert outcome.status is Status.PASSED, outcome.line
    assert outcome.figure.endswith(" over 128 tokens of the shipped text"), "as long as it was trained"

    wrong = right.source.replace("rope(self.q_proj(x), pos_ids,", "rope(self.q_proj(x), pos_ids + 1,")
    assert wrong != right.source
    outcome = checkpoint(Bench(subject("llama", wrong), checkpoint=folder))
    assert outcome.status is Status.FAILED, f"queries one position on: {outcome.line}"
