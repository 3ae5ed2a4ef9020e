"""Rules about the project around the models."""
