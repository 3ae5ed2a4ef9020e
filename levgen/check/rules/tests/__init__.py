"""Rules about tests of models."""
