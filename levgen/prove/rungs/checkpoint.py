"""checkpoint: with real weights, the distribution of every next token of a text is the reference's."""

from pathlib import Path
from typing import Any

import haliax as hax
import numpy as np
from haliax import Axis, NamedArray

from levgen.errors import LevgenError
from levgen.prove.bench import Bench, logits_of
from levgen.prove.outcome import MODEL, Outcome, failed, passed, skipped
from levgen.runtime import load_hf
from levgen.runtime.testing import to_numpy, to_torch

TOKENS = 256
TOP = 5
# Nats a token at most; the share of the reference's top tokens that are ours. Both sides compute in fp32, where an
# equal model differs by less than 1e-11; queries rotated by one position too many, after 30 steps of training, by 1e-6.
KL, AGREEMENT = 1e-7, 0.99


def checkpoint(bench: Bench) -> Outcome:
    """KL per token, agreement of the most likely tokens, and the error of the logits, in fp32."""
    folder = bench.checkpoint
    if folder is None:
        return skipped("no folder was given: --checkpoint DIR")
    if not (folder / "config.json").is_file():
        raise LevgenError(f"--checkpoint {folder}: expected a folder with a config.json and safetensors")
    import torch
    from transformers import AutoModelForCausalLM

    reference = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    ).eval()
    model: Any = load_hf(bench.subject.model_class, folder, dtype=np.float32)
    tokens, text = _text(folder, model.vocab_size, min(TOKENS, model.config.max_seq_len))
    with torch.no_grad():
        theirs = reference(to_torch(tokens)).logits[0].numpy()
    ours = to_numpy(logits_of(model, tokens))[0]
    divergence, agreement = kl_per_token(theirs, ours), top_agreement(theirs, ours)
    error = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    figure = (
        f"KL {divergence.mean():.1e} nats a token (worst {divergence.max():.1e}), top-{TOP} agreement "
        f"{100 * agreement:.1f}%, logits {error:.1e} over {len(divergence)} tokens of {text}"
    )
    # Not a number is beyond every bound.
    if not (divergence.max() <= KL and agreement >= AGREEMENT and error <= MODEL):
        bounds = f"{KL:.0e} nats, {100 * AGREEMENT:.0f}% and {MODEL:.0e}"
        return failed(f"beyond the bounds of {bounds}", figure)
    return passed(figure)


def kl_per_token(p: Any, q: Any) -> Any:
    """KL(p || q) {position} in nats, of logits {position, vocab}."""
    log_p, log_q = _log_softmax(p), _log_softmax(q)
    return np.maximum((np.exp(log_p) * (log_p - log_q)).sum(axis=-1), 0.0)


def top_agreement(p: Any, q: Any) -> float:
    """The share of the TOP most likely tokens of logits `p` {position, vocab} that are among those of `q`."""
    best_p, best_q = (np.argsort(-logits, axis=-1, kind="stable")[:, :TOP] for logits in (p, q))
    return float(np.mean([len(set(a) & set(b)) / TOP for a, b in zip(best_p, best_q, strict=True)]))


def _log_softmax(logits: Any) -> Any:
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _text(folder: Path, vocab_size: int, length: int) -> tuple[NamedArray, str]:
    """The shipped text in the checkpoint's own tokens {batch, position}; random ones where it has no tokenizer.

    length: how many tokens at most; learned positions have no more than the model's.
    """
    if (folder / "tokenizer.json").is_file():
        import json

        from tokenizers import Tokenizer

        import levgen.training

        shipped = Path(levgen.training.__file__).parent / "data" / "validation.jsonl"
        line = shipped.read_text(encoding="utf-8").splitlines()[0]
        ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(json.loads(line)["text"]).ids[:length]
        source = "the shipped text"
    else:
        ids = np.random.default_rng(0).integers(0, vocab_size, length).tolist()
        source = "random tokens (the folder has no tokenizer.json)"
    return hax.named(np.asarray([ids], np.int32), (Axis("batch", 1), Axis("position", len(ids)))), source
