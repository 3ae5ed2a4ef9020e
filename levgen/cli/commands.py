"""The table of commands: `levgen --help` is written from it, and a command's module is imported only to run it."""

import shutil
import textwrap
from pathlib import Path
from typing import NamedTuple

ABOUT = "Port a language model from transformers to JAX with one command, and prove that it is the same function."

OPTIONS = {
    "--version": "Print the version and stop.",
    "--install-completion": "Install completion for the current shell.",
    "--show-completion": "Print the completion script, to copy it or customise the installation.",
    "--help": "Print this page and stop. `levgen COMMAND --help` explains a command.",
}


class Command(NamedTuple):
    """A command: the function `function` of the module `levgen.cli.{module}`, and its line in the help."""

    module: str
    function: str
    summary: str
    group: str


COMMANDS = {
    "new-model": Command("new_model", "new_model", "Write a model, its tests and its training configs.", "Write"),
    "add-module": Command("add_module", "add_module", "Add an attention, MLP, norm ... to a model file.", "Write"),
    "update": Command("update", "update", "Write a model anew, and keep what you changed in it.", "Write"),
    "check": Command("check", "check", "Check models, tests and configs by reading the source.", "Check"),
    "rule": Command("rule", "rule", "Explain a rule of `levgen check`.", "Check"),
    "prove": Command("prove", "prove", "Prove that a model equals its reference, rung by rung.", "Check"),
    "train": Command("train", "train", "Train a model on this machine from its YAML.", "Run"),
    "profile": Command("profile", "profile", "Say where a training step spends time and memory.", "Run"),
    "convert": Command("convert", "convert", "Turn a checkpoint into a Hugging Face folder, or back.", "Run"),
    "generate": Command("generate", "generate", "Go on with a text, from a run's checkpoint or a folder.", "Run"),
    "list": Command("list", "list_models", "List the project's models and how far each is proven.", "Look"),
    "parts": Command("parts", "parts", "List the parts that models are made of.", "Look"),
    "inspect": Command("inspect", "inspect", "Show the architecture behind a model type.", "Look"),
    "doctor": Command("doctor", "doctor", "Check this installation and say how to mend it.", "Look"),
}


def available() -> dict[str, Command]:
    """The commands of this installation: those whose module is there."""
    folder = Path(__file__).parent
    return {name: command for name, command in COMMANDS.items() if (folder / f"{command.module}.py").is_file()}


def help_page(width: int | None = None) -> str:
    """The page of `levgen --help`, `width` columns wide (default: the terminal's), between 44 and 100."""
    width = max(44, min(100, width or shutil.get_terminal_size().columns))
    commands = available()
    label_width = max(map(len, [*OPTIONS, *commands])) + 4
    sections: dict[str, list[str]] = {
        group: [] for group in dict.fromkeys(command.group for command in commands.values())
    }
    for name, command in commands.items():
        sections[command.group].append(_row(name, command.summary, label_width, width))
    lines = ["Usage: levgen [OPTIONS] COMMAND [ARGS]...", "", *textwrap.wrap(ABOUT, width)]
    for group, rows in sections.items():
        lines += ["", f"{group}:", *rows]
    lines += ["", "Options:", *(_row(name, text, label_width, width) for name, text in OPTIONS.items())]
    return "\n".join(lines)


def _row(label: str, text: str, label_width: int, width: int) -> str:
    first = f"  {label}".ljust(label_width)
    return textwrap.fill(text, width, initial_indent=first, subsequent_indent=" " * label_width)
