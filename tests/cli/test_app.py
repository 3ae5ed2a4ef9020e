"""The command line's frame: help, errors, exit codes, and how little it imports."""

import os
import signal
import subprocess
import sys
import types
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer

import levgen
from levgen.cli import commands
from levgen.cli.app import run
from levgen.cli.commands import COMMANDS, Command, available, help_page
from levgen.errors import LevgenError

HEAVY = ("jax", "torch", "transformers", "haliax", "copier", "equinox", "rich", "pydantic", "jinja2", "libcst", "yaml")


@pytest.fixture
def command(monkeypatch):
    """Adds a function to the command line, as the command `tried`."""

    def add(function):
        module = types.ModuleType("levgen.cli.tried")
        module.tried = function
        monkeypatch.setitem(sys.modules, "levgen.cli.tried", module)
        table = {**available(), "tried": Command("tried", "tried", "Tried.", "Look")}
        monkeypatch.setattr("levgen.cli.group.available", lambda: table)
        monkeypatch.setattr(commands, "available", lambda: table)

    return add


def python(code, **environment):
    """Runs `code` in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )


def test_help_lists_every_command_once(capsys):
    assert run(["--help"]) == 0
    page = capsys.readouterr().out
    for name, entry in available().items():
        assert [line for line in page.splitlines() if line.split()[:1] == [name]] == [
            line for line in page.splitlines() if entry.summary[:20] in line
        ]


@pytest.mark.parametrize("width", [20, 60, 200])
def test_help_fits_the_terminal(width):
    assert max(map(len, help_page(width).splitlines())) <= max(44, min(100, width))


def test_the_slow_way_to_the_help_shows_the_same_page(capsys):
    run(["--help"])
    quick = capsys.readouterr().out
    assert run(["--help", "--version"]) == 0
    assert capsys.readouterr().out == quick


def test_no_command_is_an_error(capsys):
    assert run([]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", help_page() + "\n")


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"levgen {levgen.__version__}\n"


def test_an_unknown_command_names_the_nearest(capsys):
    assert run(["docter"]) == 2
    assert capsys.readouterr().err == "error: there is no command 'docter'\n  did you mean 'doctor'?\n"


@pytest.mark.parametrize("arguments", [["doctor", "--deeep"], ["--bad"]])
def test_an_unknown_option_is_a_usage_error(capsys, arguments):
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: No such option: --")
    assert "--help` shows what it takes" in err


def test_every_command_of_this_installation_can_be_imported(capsys):
    assert available()
    for name in available():
        assert run([name, "--help"]) == 0
        assert f"Usage: levgen {name}" in capsys.readouterr().out


def fail_with(error):
    def tried() -> None:
        raise error

    return tried


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (LevgenError("expected 3, got 4", "give 3\nor 5"), 2, "error: expected 3, got 4\n  give 3\n  or 5\n"),
        (LevgenError("an escape \x1b[31m"), 2, "error: an escape \\x1b[31m\n"),
        (FileNotFoundError(2, "No such file or directory", "x.yaml"), 2, "error: No such file or directory: x.yaml\n"),
        (KeyError("x"), 2, "error: levgen failed, which it never should: KeyError: 'x'\n  please report it"),
        (
            NotImplementedError("X is to be written"),
            2,
            "error: the model isn't whole yet: X is to be written\n  `levgen",
        ),
        (KeyboardInterrupt(), 130, ""),
        (typer.Exit(1), 1, ""),
        (typer.BadParameter("no good"), 2, "error: Invalid value: no good\n"),
        (typer.Abort(), 1, "error: stopped"),
        (BrokenPipeError(32, "Broken pipe"), 1, ""),
    ],
)
def test_what_a_command_raises(command, capsys, monkeypatch, error, code, said):
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # typer replaces it after a broken pipe
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    command(fail_with(error))
    try:
        got = run(["tried"])
    except SystemExit as stopped:
        got = stopped.code
    out, err = capsys.readouterr()
    assert (got, out) == (code, "")
    assert err.startswith(said)
    assert "Traceback" not in err


@pytest.mark.parametrize("error", [LevgenError("expected 3"), KeyError("x")])
def test_the_traceback_on_demand(command, capsys, monkeypatch, error):
    monkeypatch.setenv("LEVGEN_TRACEBACK", "1")
    command(fail_with(error))
    assert run(["tried"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (1, 1)])
def test_the_result_is_the_exit_code(command, result, code):
    def tried() -> int | None:
        return result

    command(tried)
    assert run(["tried"]) == code


class Format(Enum):
    TEXT = "text"
    JSON = "json"


def test_arguments_are_converted(command, capsys):
    got = {}

    def tried(
        name: str,
        paths: Annotated[list[Path] | None, typer.Argument()] = None,
        dest: Path = Path("."),
        deep: bool = False,
        style: Literal["a", "b"] = "a",
        format: Format = Format.TEXT,
        set_: Annotated[list[str] | None, typer.Option("--set")] = None,
        steps: int | None = None,
        rate: Annotated[float, typer.Option(min=0.0)] = 0.5,
    ) -> None:
        got.update(locals())

    command(tried)
    arguments = ["x", "p", "q", "--dest", "d", "--deep", "--style", "b", "--format", "json", "--set", "a=1"]
    assert run(["tried", *arguments, "--set", "b", "--steps", "7", "--rate", "0.25"]) == 0
    assert {key: got[key] for key in ("name", "paths", "dest", "deep", "style", "format", "set_", "steps", "rate")} == {
        "name": "x",
        "paths": [Path("p"), Path("q")],
        "dest": Path("d"),
        "deep": True,
        "style": "b",
        "format": Format.JSON,
        "set_": ["a=1", "b"],
        "steps": 7,
        "rate": 0.25,
    }
    assert run(["tried", "x"]) == 0
    assert (got["dest"], got["deep"], got["style"], got["format"]) == (Path("."), False, "a", Format.TEXT)
    assert (got["steps"], got["paths"] or None, got["set_"] or None) == (None, None, None)
    for bad, said in [
        (["--style", "c"], "expected one of 'a', 'b', got 'c'"),
        (["--format", "xml"], "expected one of 'text', 'json', got 'xml'"),
        (["--steps", "x"], "expected a whole number, got 'x'"),
        (["--rate", "-1"], "--rate"),
    ]:
        assert run(["tried", "x", *bad]) == 2
        assert said in capsys.readouterr().err
    assert run(["tried"]) == 2
    assert "Missing argument 'name'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["doctor", "--help"]])
def test_what_start_up_imports(arguments):
    heavy = set(HEAVY)
    done = python(
        f"import sys\nfrom levgen.cli.app import run\nrun({arguments})\n"
        f"print(sorted({heavy} & set(sys.modules)), file=sys.stderr)\n"
        "print('typer' in sys.modules, file=sys.stderr)"
    )
    assert done.stderr.splitlines() == ["[]", str(arguments != ["--help"])]


@pytest.mark.parametrize("module", ["levgen", "levgen.cli.app", "levgen.errors", "levgen.check", "levgen.project"])
def test_what_light_modules_import(module):
    done = python(f"import sys, {module}\nprint(sorted({set(HEAVY)} & set(sys.modules)))")
    assert done.stdout == "[]\n", done.stderr


def test_completion_knows_commands_and_imports_none():
    code = (
        "import sys\nsys.argv = ['levgen']\nfrom levgen.cli.app import main\n"
        "try:\n    main()\nfinally:\n    print('levgen.cli.doctor' in sys.modules, file=sys.stderr)"
    )
    asked = {"_LEVGEN_COMPLETE": "complete_bash", "COMP_WORDS": "levgen do", "COMP_CWORD": "1"}
    done = python(code, **asked)
    assert (done.stdout.split(), done.stderr) == (["doctor"], "False\n")


@pytest.mark.skipif(os.name == "nt", reason="no pipes of this kind")
def test_a_reader_that_goes_away_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m levgen --help | true; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 141)
    assert done.stderr == ""


def test_ctrl_c_while_a_command_runs():
    code = (
        "import os, signal, time\nfrom levgen.cli import app\n"
        # A shell that runs this in the background has it ignore the signal.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "app._run = lambda argv: os.kill(os.getpid(), signal.SIGINT) or time.sleep(60)\napp.main()"
    )
    done = python(code)
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "error: interrupted\n")


def test_the_table_names_files_that_follow_the_layout():
    for name, entry in COMMANDS.items():
        assert entry.module == name.replace("-", "_")
        assert entry.summary.endswith(".")
