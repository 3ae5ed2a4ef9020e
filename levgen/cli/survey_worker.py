"""A survey in a process of its own: `python -m levgen.cli.survey_worker TYPE|FOLDER [--trust-remote-code]`.

The process is there so that code of a folder can't reach into the command that asked for it, and so that what torch
prints, warns of or dies of stays apart. What it finds goes to its standard output, one JSON object a line: `step` while
it works, then `survey`, or `error` with a message and a hint.
"""

import argparse
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

_SECONDS = 0.25
# The packages whose modules are steps, and the module that only calls them in order.
_STEPS, _ORDER = ("levgen.survey.", "levgen.reference."), "levgen.survey.run"


def main() -> int:
    """0 where the survey came to its end, whatever it found; 2 where it was refused or broke off."""
    parser = argparse.ArgumentParser(prog="python -m levgen.cli.survey_worker")
    parser.add_argument("model")
    parser.add_argument("--trust-remote-code", action="store_true")
    arguments = parser.parse_args()
    say = _channel()
    from levgen.errors import LevgenError

    _report_steps(say)
    folder = Path(arguments.model)
    try:
        from levgen.survey import survey, survey_folder

        if folder.is_dir():
            found = survey_folder(folder, trust_remote_code=arguments.trust_remote_code)
        else:
            found = survey(arguments.model)
    except LevgenError as error:
        say({"error": error.message, "hint": error.hint})
        return 2
    except Exception as error:
        traceback.print_exception(error)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        say(
            {
                "error": f"the survey of {arguments.model} broke off: {type(error).__name__}: {error}",
                "hint": f"in {frame.filename}:{frame.lineno}",
            }
        )
        return 2
    say({"survey": found.as_data()})
    return 0


def _channel() -> Callable[[dict[str, Any]], None]:
    """Writes to what is standard output now; from here on, what anything else prints goes to standard error."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lock = threading.Lock()

    def say(message: dict[str, Any]) -> None:
        with lock:
            print(json.dumps(message, default=str), file=channel, flush=True)

    return say


def _report_steps(say: Callable[[dict[str, Any]], None]) -> None:
    """Says what the survey is at whenever that changes, read off the stack of the main thread.

    A question is a module of the survey, and its docstring begins with it: nothing has to be called from there.
    """
    main_thread = threading.main_thread().ident
    assert main_thread is not None

    def watch() -> None:
        last = None
        while True:
            step = _step(sys._current_frames().get(main_thread))
            if step is not None and step != last:
                say({"step": step})
                last = step
            stopped.wait(_SECONDS)

    stopped = threading.Event()
    threading.Thread(target=watch, daemon=True).start()


def _step(frame: FrameType | None) -> str | None:
    """What is being done, and within that what just now: from the outermost and the innermost module at work."""
    modules = []
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if name.startswith(_STEPS) and name != _ORDER:
            modules.append(frame.f_globals.get("__doc__") or "")
        frame = frame.f_back
    said = [_beginning(doc) for doc in (*modules[-1:], *modules[:1])]
    return " > ".join(dict.fromkeys(said)) or None


def _beginning(doc: str) -> str:
    """The first line of a docstring, up to its question mark or its first colon."""
    line = doc.partition("\n")[0]
    question, mark, _ = line.partition("?")
    return question + mark if mark else line.partition(":")[0].rstrip(".")


if __name__ == "__main__":
    sys.exit(main())
