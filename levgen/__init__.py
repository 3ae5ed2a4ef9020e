"""levgen ports language models from transformers to JAX and proves that each port is the same function."""

__version__ = "0.1.0"
