"""The operators, a few files of them; each file is found and imported by `levgen.prove.mutate.find`."""
