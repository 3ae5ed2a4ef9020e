"""The rules, one a file, found by `levgen.check.registry`."""
