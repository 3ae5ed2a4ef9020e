"""Where a model first differs from its reference, how, and why."""
