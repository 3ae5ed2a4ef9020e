"""A few steps of a run under jax's profiler, and what they spent their time on."""
