"""A linter for ports: rules with codes that read source, and never import or run it.

`check_paths` is the library's entry; `levgen check` and `levgen rule` are its command line.
"""

from levgen.check.finding import Edit, Finding, Report, Skipped
from levgen.check.runner import check_paths, run

__all__ = ["Edit", "Finding", "Report", "Skipped", "check_paths", "run"]
