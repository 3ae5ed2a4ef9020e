"""Every causal language model of transformers surveyed and measured, as a table."""
