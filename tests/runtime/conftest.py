"""Beside the tests: models and references that those in the folders below import, too."""
