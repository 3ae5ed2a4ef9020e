"""`python -m levgen` is the same as `levgen`."""

from levgen.cli.app import main

main()
