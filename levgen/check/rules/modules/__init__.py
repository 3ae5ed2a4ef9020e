"""Rules about modules: initialisation and the forward pass."""
