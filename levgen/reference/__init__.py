"""The reference: what transformers and its checkpoints say of a model."""
