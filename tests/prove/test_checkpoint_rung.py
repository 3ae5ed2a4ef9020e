"""The rung of real weights, on a folder that transformers writes."""

import numpy as np
import pytest

from levgen.errors import LevgenError
from levgen.prove.bench import Bench
from levgen.prove.outcome import Status
from levgen.prove.rungs.checkpoint import checkpoint, kl_per_token, top_agreement


def test_a_folder_with_weights_is_compared(subject, tmp_path):
    loaded = subject("gpt2")
    Bench(loaded).ported().reference.save_pretrained(tmp_path)
    outcome = checkpoint(Bench(loaded, checkpoint=tmp_path))
    assert outcome.status is Status.PASSED, outcome.line
    assert "top-5 agreement 100.0%, logits " in outcome.figure
    assert "over 256 tokens of random tokens" in outcome.figure


def test_another_model_fails(subject, tmp_path):
    loaded = subject("gpt2")
    Bench(loaded).ported().reference.save_pretrained(tmp_path)
    wrong = subject("gpt2", loaded.source.replace("self.wpe(pos_ids)", "self.wpe(pos_ids + 1)"))
    assert checkpoint(Bench(wrong, checkpoint=tmp_path)).status is Status.FAILED


def test_a_folder_without_a_model(subject, tmp_path):
    with pytest.raises(LevgenError, match=r"expected a folder with a config\.json"):
        checkpoint(Bench(subject("gpt2"), checkpoint=tmp_path))


def test_no_folder_is_skipped(subject):
    assert checkpoint(Bench(subject("gpt2"))).status is Status.SKIPPED


def test_measures_of_distributions():
    logits = np.array([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]])
    assert kl_per_token(logits, logits + 7) == pytest.approx([0.0], abs=1e-12)
    two = np.log(np.array([[0.5, 0.5]])), np.log(np.array([[0.25, 0.75]]))
    assert kl_per_token(*two) == pytest.approx([0.5 * np.log(2) + 0.5 * np.log(2 / 3)])
    assert top_agreement(logits, logits) == 1.0
    assert top_agreement(logits, -logits) == pytest.approx(0.8), "4 of 5 of six tokens are shared"
