"""Checkpoints of transformers: names of tensors, reading and writing their files, formats of few bits."""
