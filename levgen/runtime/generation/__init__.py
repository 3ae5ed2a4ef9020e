"""Text from a model: a cache of keys and values, sampling, and the loop over new tokens."""

from levgen.runtime.generation.generate import Generated, generate
from levgen.runtime.generation.sampling import Sampling

__all__ = ["Generated", "Sampling", "generate"]
