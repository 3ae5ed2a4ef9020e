"""`python -m levgen.survey TYPE|FOLDER`: prints the card, the evidence and what is unknown."""

import argparse
import sys
from pathlib import Path


def main() -> int:
    """0 where the model is known and rebuilt, 1 where something is unknown, 2 for a usage error."""
    parser = argparse.ArgumentParser(prog="python -m levgen.survey", description=__doc__)
    parser.add_argument("model", metavar="TYPE|FOLDER")
    parser.add_argument("--trust-remote-code", action="store_true", help="run the code of a folder")
    arguments = parser.parse_args()

    from levgen.errors import LevgenError
    from levgen.survey import survey, survey_folder

    folder = Path(arguments.model)
    try:
        if folder.is_dir():
            found = survey_folder(folder, trust_remote_code=arguments.trust_remote_code)
        else:
            found = survey(arguments.model)
    except LevgenError as error:
        print(error, file=sys.stderr)
        return 2
    print(found.text())
    return 0 if found.rebuilt else 1


if __name__ == "__main__":
    sys.exit(main())
