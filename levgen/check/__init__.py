"""A linter for ports: rules with codes that read source, and never import or run it.

`levgen.check.runner.run` is the library's entry; `levgen check` and `levgen rule` are its command line.
"""
