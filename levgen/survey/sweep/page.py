"""The results of a sweep as a page of Markdown."""

from collections.abc import Sequence
from typing import Any

from levgen.architecture.card import parse_card
from levgen.architecture.catalogue import find
from levgen.survey.cards import differences, rebuilt
from levgen.survey.rebuild import GRADIENTS, LOGITS
from levgen.survey.sweep.columns import DEEP, DRAWS, GROWTH, SHALLOW, is_green

_HEAD = f"""# Types that were surveyed

Written by `python -m levgen.survey.sweep FOLDER --first @docs/dense_decoders.txt --table docs/survey.md`, not by hand;
FOLDER keeps the result of each type. With {{versions}}.

CI surveys a sixtieth of all types anew for each commit, and all of them once a week (`.github/workflows/survey.yml`).
It fails where a type is worse than its row here says.

A type is green where the survey answered every question, and the model written from the answers holds in all columns:
in the tiny config, and in {DRAWS} that hypothesis draws, of other widths, heads, depths, switches, rotations and
windows, as far as config fields for them were found. Figures are relative errors against transformers in fp32 on CPU,
all parameters random, one a config; XLA compiles with most optimisations off, which is sooner done.

- *generation*: model, tests and configs are written, and ruff finds nothing in them.
- *forward*: logits of a short text; *long positions*: of one that is longer than every probe, window and original
  length. At most {LOGITS:.0e}.
- *gradients*: of the loss, by every parameter; at most {GRADIENTS:.0e}, and none may be dead.
- *round trip*: transformers writes, levgen reads and writes, transformers reads: bit for bit.
- *compile growth*: operations of the lowered loss and gradient at {DEEP} layers, over those at {SHALLOW};
  at most {GROWTH}. A count, because a time says nothing on a busy machine.
- *tests*: the test file that is generated with the model, run as it is.
- *card*: whether `python -m levgen.survey.cards TYPE` writes the card that is shipped; else the answers that differ:
  a few cards know fields of checkpoints that the config class of transformers doesn't name.
- *partly stubbed*: the classes named are stubs, in whose places the figures have what the reference's modules give.
- *unknown*: the questions that no answer fits, what was observed, and where in the reference.

"""
_COLUMNS = (
    "type",
    "survey",
    "generation",
    "forward",
    "gradients",
    "long positions",
    "round trip",
    "compile growth",
    "tests",
    "card",
    "unknown",
)
# States of a type that are worth keeping, and how much.
GOOD = {"green": 2, "partly stubbed": 1}
SAME = "the same"  # as the shipped card
_TITLES = ("Standard dense decoders", "Other causal language models")


def page(sections: Sequence[Sequence[dict[str, Any]]]) -> str:
    """The page: how it is rebuilt, and a table for each of `sections`, with its counts."""
    titles = _TITLES if len(sections) > 1 else ("Types",)
    parts = [
        f"## {title}\n\n{_summary(results)}\n\n{table(results)}"
        for title, results in zip(titles, sections, strict=True)
    ]
    return _HEAD.format(versions=_versions()) + "\n".join(parts)


def table(results: Sequence[dict[str, Any]]) -> str:
    """The results as a Markdown table, sorted by type."""
    rows = [row(result) for result in sorted(results, key=lambda result: str(result["type"]))]
    return "\n".join([f"| {' | '.join(_COLUMNS)} |", "|" + "---|" * len(_COLUMNS), *rows, ""])


def state(result: dict[str, Any]) -> str:
    """green, partly stubbed (all around the stubs holds), red (a column doesn't hold), not surveyed, or not tried."""
    if "kept" in result:
        return cells_of(result["kept"])["survey"].partition(":")[0]
    if "surveyed" not in result:
        return "not tried"
    if result.get("stubs"):
        holds = result["columns"] is not None and is_green(result["columns"], stubs=True)
        return "partly stubbed" if holds else "red"
    if not result["surveyed"]:
        return "not surveyed"
    return "green" if result["columns"] is not None and is_green(result["columns"]) else "red"


def row(result: dict[str, Any]) -> str:
    """One line of the table; of a result that is `kept` from an earlier table, its line there."""
    if "kept" in result:
        return str(result["kept"])
    columns = result.get("columns") or {"generation": None, "configs": [], "growth": None, "tests": None}
    configs = columns["configs"]
    unknown = [_unknown(*item) for item in result.get("unknown", [])]
    unknown += [_one_line(f"config {i}: {c['problem']}") for i, c in enumerate(configs) if c["problem"]]
    stubs = ", ".join(result.get("stubs", ()))
    cells = [
        result["type"],
        state(result) + (f": {stubs}" if stubs else ""),
        {None: "", "": "yes"}.get(columns["generation"], columns["generation"]),
        *(", ".join(_number(config[name]) for config in configs) for name in ("forward", "gradients", "long")),
        _round_trips([config["round_trip"] for config in configs]),
        "" if columns["growth"] is None else f"{columns['growth']:.2f}",
        columns.get("tests") or "",
        _card(result),
        "; ".join(unknown),
    ]
    return f"| {' | '.join(cells)} |"


def cells_of(line: str) -> dict[str, str]:
    """The cells of a line of the table by column; nothing of a line of text."""
    cells = [cell.strip() for cell in line.removesuffix(" |").split(" | ", len(_COLUMNS) - 1)]
    if not line.startswith("| ") or len(cells) != len(_COLUMNS):
        return {}
    return dict(zip(_COLUMNS, [cells[0].removeprefix("| "), *cells[1:]], strict=True))


def _card(result: dict[str, Any]) -> str:
    """Whether the shipped card of a surveyed type says the same."""
    shipped = find(str(result["type"]))
    if state(result) not in ("green", "red") or result.get("stubs") or shipped is None:
        return ""
    found = parse_card(result["card"], source=f"the card of {result['type']}")
    differing = [line.partition(":")[0] for line in differences(shipped, rebuilt(shipped, found))]
    return ", ".join(differing) or SAME


def _summary(results: Sequence[dict[str, Any]]) -> str:
    """How many types are in which state."""
    states = [state(result) for result in results]
    others = [f"{states.count(kind)} {kind}" for kind in dict.fromkeys(sorted(states)) if kind != "green"]
    return f"**{states.count('green')} of {len(states)} types** are green" + "".join(f", {o}" for o in others) + "."


def _round_trips(found: Sequence[str | None]) -> str:
    known = [problem for problem in found if problem is not None]
    return next(filter(None, known), "exact") if known else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0e}"


def _unknown(question: str, observed: str, where: str) -> str:
    """One line: the question, the beginning of what was observed, and where in the reference."""
    return _one_line(f"{question}: {observed}") + (f" (`{where}`)" if where else "")


def _one_line(said: str) -> str:
    said = " ".join(said.replace("|", "/").split())
    return said if len(said) <= 240 else f"{said[:240]} ..."


def _versions() -> str:
    from importlib.metadata import version

    return ", ".join(f"{package} {version(package)}" for package in ("transformers", "torch", "jax"))
