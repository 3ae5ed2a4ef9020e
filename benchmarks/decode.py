"""Greedy decoding with a cache: the generated Llama, one written by hand in JAX, and transformers' `generate`."""

import importlib.util
from collections.abc import Callable
from functools import partial

import jax
import jax.random as jrandom
import numpy as np

from benchmarks.plain_decode import decode
from benchmarks.sizes import FULL, QUICK, Size
from benchmarks.table import Comparison, Ratio
from benchmarks.timing import Runner, interleaved
from benchmarks.weights import checkpoint, randomised
from levgen.runtime.generation import generate

GENERATED, PLAIN, TORCH = "generated Llama", "plain JAX, unrolled", "transformers (torch) generate"
Decoder = Callable[[], list[list[int]]]


def run(*, quick: bool) -> list[Comparison]:
    """One table. Raises RuntimeError where the models, which have the same weights, give different tokens."""
    size, rounds, prompt, new = (QUICK, 2, 8, 8) if quick else (FULL, 15, 64, 64)
    decoders, notes = _decoders(size, prompt, new)
    given = {name: decoder() for name, decoder in decoders.items()}
    if any(tokens != given[GENERATED] for tokens in given.values()):
        raise RuntimeError(f"the models go on differently: {given}")
    timings = interleaved("Decode", {name: Runner(decoder) for name, decoder in decoders.items()}, rounds)
    ratios = [Ratio(GENERATED, PLAIN, 1.15)]
    if TORCH in decoders:
        ratios.append(Ratio(TORCH, GENERATED, 3, at_least=True))
    title = f"Decode: Llama, batch {size.batch}, {prompt} tokens of prompt, {new} new ones, fp32"
    return [Comparison(title, timings, ratios, [*notes, "All give the same tokens."])]


def _decoders(size: Size, length: int, new: int) -> tuple[dict[str, Decoder], list[str]]:
    model = randomised(size.llama(), size.Vocab)
    state = checkpoint(model)
    prompt = np.asarray(jrandom.randint(jrandom.key(1), (size.batch, length), 0, size.vocab))
    plain = size.plain_llama("unrolled")
    params = plain.params(state)
    compiled = jax.jit(partial(decode, plain, new_tokens=new))
    decoders: dict[str, Decoder] = {
        GENERATED: lambda: generate(model, prompt.tolist(), max_new_tokens=new).tokens,
        PLAIN: lambda: np.asarray(compiled(params, prompt)).tolist(),
    }
    if importlib.util.find_spec("torch") is None:
        return decoders, ["No torch here: its row is left out."]
    from benchmarks.torch_models import TorchDecoder

    decoders[TORCH] = TorchDecoder(model.config.to_hf_config(size.vocab), state, prompt, new)
    return decoders, []
