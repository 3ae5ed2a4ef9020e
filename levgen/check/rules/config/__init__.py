"""Rules about config classes."""
