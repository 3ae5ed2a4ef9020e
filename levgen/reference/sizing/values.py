"""The sizes that a tiny config has, by the names that fields usually go by."""

from typing import Any

VOCAB, WIDTH, DEPTH, HEADS, KV_HEADS, HEAD_DIM, INNER, LENGTH, WINDOW = 131, 96, 4, 6, 2, 24, 80, 112, 8
EXPERTS, CHOSEN = 12, 3  # a token goes to 3 of 12
OPEN_EXPERTS = (EXPERTS, CHOSEN, 2)
EXPERT_GROUPS = 4  # of experts
HEADS_BESIDE = 5  # of an attention beside the model's own
ABSENT_SIZE = 64  # of what a class leaves out
HEAD_PARTS = (14, 8, 10)  # of a head whose width is a sum; even, because any may be the one that rotates
# transformers' names, in which its configs' `attribute_map` speaks.
STANDARD = {
    "vocab_size": VOCAB,
    "hidden_size": WIDTH,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "intermediate_size": INNER,
    "max_position_embeddings": LENGTH,
    "sliding_window": WINDOW,
}
# Of layers with a window, and of others.
THETAS = (500.0, 10000.0)
SMALL_SIZES = (8, 16, 4, 24, 48, 2, 1)


def is_int(value: Any) -> bool:
    """Whether `value` is a whole number, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)
