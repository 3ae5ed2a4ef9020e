"""`python -m levgen.survey.sweep FOLDER`: see `levgen.survey.sweep.run`."""

import sys

from levgen.survey.sweep.run import main

if __name__ == "__main__":
    sys.exit(main())
