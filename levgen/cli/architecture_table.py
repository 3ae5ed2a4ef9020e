"""An architecture in the terminal: its answers with the evidence for each, a layer's dataflow, its parameters."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from levgen.architecture.schema import Architecture
from levgen.cli.diagram_text import draw
from levgen.cli.evidence_table import REBUILT, of_hyperparameter, said_of_answer, written
from levgen.scaffold.count import cached_numbers, count_modules
from levgen.scaffold.dataflow.layer import dataflow_of
from levgen.scaffold.names import model_name
from levgen.scaffold.views.port import PortView

if TYPE_CHECKING:
    from levgen.cli.inspection import Inspection
    from levgen.survey.report import Survey

# The least room for the axes of modules beside their numbers.
_AXES = 12


def print_inspection(inspection: "Inspection") -> None:
    """Prints what is known: hyperparameters, answers, a layer, parameters; then what a survey could not settle."""
    console = Console(highlight=False)
    architecture, survey = inspection.architecture, inspection.survey
    if architecture is not None:
        _print_known(console, architecture, inspection)
    elif survey is not None:
        console.print(f"[bold]{escape(inspection.model)}[/bold]: not understood")
        if survey.evidence:
            console.print(_evidence(survey))
    _print_list(console, "The card says otherwise", inspection.differing())
    _print_list(console, "Unknown", _unknown(survey), empty="nothing")


def _print_known(console: Console, architecture: Architecture, inspection: "Inspection") -> None:
    view = PortView(architecture, model_name("model"))
    console.print(f"[bold]{escape(architecture.title)}[/bold]: {view.summary}")
    console.print(f"Reference: {escape(' '.join(view.reference_lines))}", soft_wrap=True)
    console.print(f"Found:     {escape(_source(inspection))}\n", soft_wrap=True)
    console.print(_hyperparameters(architecture, inspection.survey))
    console.print()
    console.print(_answers(architecture, inspection.survey))
    console.print("\n[bold]Dataflow[/bold]")
    for line in draw(dataflow_of(architecture), console.width):
        console.print(line, markup=False, soft_wrap=True)
    console.print()
    console.print(_parameters(architecture, inspection.vocab_size, console.width))
    cached = cached_numbers(architecture)
    if cached is not None:
        console.print(f"\nA cache holds {cached:,} numbers a token: {2 * cached:,} bytes in bfloat16", soft_wrap=True)
    for title, fields in (
        ("Fixed by the architecture", architecture.fixed),
        ("Computed from other fields", architecture.derived),
        ("Ignored", architecture.ignored),
    ):
        _print_list(console, title, [f"{name}: {value}" for name, value in fields.items()])


def _source(inspection: "Inspection") -> str:
    survey = inspection.survey
    if survey is None:
        return "in its card, which the tests of levgen hold against the reference; --survey finds it out anew"
    errors = ", ".join(f"{error:.1e}" for error in survey.errors)
    gradients = "" if survey.gradient_error is None else f", gradients by {survey.gradient_error:.1e}"
    return (
        f"by experiment in {survey.seconds:.0f} s; the model rebuilt from it differs in logits by {errors}{gradients}"
    )


def _print_list(console: Console, title: str, lines: list[str], *, empty: str | None = None) -> None:
    if lines or empty is not None:
        console.print(f"\n[bold]{title}[/bold]")
    for line in lines or ([empty] if empty is not None else []):
        console.print(f"  {line}", markup=False, soft_wrap=True)


def _unknown(survey: "Survey | None") -> list[str]:
    unknown = () if survey is None else survey.unknown
    return [f"{one.question}: {one.observed}" + (f" [{one.where}]" if one.where else "") for one in unknown]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _hyperparameters(architecture: Architecture, survey: "Survey | None") -> Table:
    table = _table("Hyperparameter", "Default", "Hugging Face field", *(["Evidence"] if survey else []))
    for name, parameter in architecture.hyperparameters.items():
        unset = f" (unset: {parameter.unset})" if parameter.unset else ""
        cells = [name, _short(parameter.default), f"{parameter.hf or ''}{unset}"]
        if survey is not None:
            found = of_hyperparameter(name, parameter.hf, survey.evidence)
            cells.append("" if parameter.hf is None else REBUILT if found is None else written(found))
        table.add_row(*map(escape, cells))
    return table


def _answers(architecture: Architecture, survey: "Survey | None") -> Table:
    table = _table("Answer", "Value", *(["Evidence"] if survey else []))
    for answer, value in _all_answers(architecture):
        cells = [answer, value]
        if survey is not None:
            cells.append(said_of_answer(answer, survey.evidence))
        table.add_row(*map(escape, cells))
    return table


def _all_answers(architecture: Architecture) -> Iterator[tuple[str, str]]:
    """The answers that there are: none of a part that is unknown."""
    unknown: set[str] = set(architecture.unknown)
    if "decoder_layer" in unknown:
        unknown |= {"attention", "mlp", "moe", "layer"}
    if "attention" in unknown and architecture.positions.kind == "none":
        unknown.add("positions")  # nothing is added to the embeddings, and what attention does nobody knows
    for group, answers in architecture.groups().items():
        for answer, value in answers.items():
            if group in unknown or ((group, answer) == ("mlp", "activation") and answer in unknown):
                continue
            if group == "moe" and answer != "layers" and architecture.moe.layers == "none":
                continue  # there is nothing that they say
            if group == "head_transform" and answer != "kind" and architecture.head_transform.kind == "none":
                continue
            yield f"{group}.{answer}", str(value).lower() if isinstance(value, bool) else str(value)


def _parameters(architecture: Architecture, vocab_size: int | None, width: int) -> Table:
    """Parameters by module; those of each entry of the vocabulary apart where its size is not known.

    width: of the terminal. Where it leaves next to nothing for axes, they are left out.
    """
    counts = count_modules(architecture)
    vocab = vocab_size or 0
    rows = []
    for count in counts:
        each = f"{count.each + count.per_token * vocab:,}"
        if count.per_token and vocab_size is None:
            each = f"{count.per_token:,} a token"
        rows.append((escape(count.module), count.axes, each, f"{count.times:,}"))
    more = sum(count.per_token for count in counts) if vocab_size is None else 0
    beside = f" + {more:,} a token" if more else ""
    total = f"{sum(count.total(vocab) for count in counts):,}{beside}"
    rows.append(("[bold]all[/bold]", "" if vocab_size is None else f"vocabulary of {vocab_size:,}", total, ""))
    if any(count.active is not None for count in counts):
        active = f"{sum(count.passed(vocab) for count in counts):,}{beside}"
        rows.append(("[bold]active[/bold]", "what one token passes through", active, ""))
    titles = ("Module", "Axes of its weight", "Parameters", "Of them")
    taken = sum(max(map(len, column)) + 2 for column in zip(titles, *rows, strict=True) if column[0] != titles[1])
    shown = (0, 1, 2, 3) if width - taken >= _AXES else (0, 2, 3)
    table = _table(*(titles[column] for column in shown))
    for column, title in zip(table.columns, [titles[column] for column in shown], strict=True):
        column.no_wrap = title != titles[1]
        column.justify = "right" if title in titles[2:] else "left"
    for row in rows:
        table.add_row(*(row[column] for column in shown))
    return table


def _evidence(survey: "Survey") -> Table:
    table = _table("Question", "Found", "Evidence")
    for entry in survey.evidence:
        table.add_row(*map(escape, (entry.question, str(entry.chosen), written(entry))))
    return table


def _short(value: object, most: int = 60) -> str:
    """`value`, a long list cut to its beginning."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]} ..."
