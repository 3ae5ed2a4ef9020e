"""Runs a session of levgen in a scratch folder and draws it as `docs/session.svg`: the picture in the README.

python docs/record_session.py
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COMMANDS = [
    "levgen new-model llama --dest demo",
    "cd demo && levgen check",
    "cd demo && levgen new-model my_llama --like llama --set attention.qk_norm=head --dry-run",
    "cd demo && levgen new-model lama --like lama",
]
PROMPT = "$ "


def main() -> None:
    """Writes the picture."""
    console = Console(record=True, width=110, file=sys.stderr, force_terminal=True)
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            console.print(Text(PROMPT, "bold green") + Text(command, "bold"))
            # The levgen of this Python, whatever else is on the PATH.
            script = f'levgen() {{ "{sys.executable}" -m levgen "$@"; }}; {command}'
            done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
            console.print(Text((done.stdout + done.stderr).strip() + "\n"))
    # Without rich's web font: a page that shows the picture fetches nothing.
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="levgen"), flags=re.DOTALL)
    Path(__file__).with_name("session.svg").write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")


if __name__ == "__main__":
    main()
