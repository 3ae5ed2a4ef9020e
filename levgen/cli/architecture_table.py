"""An architecture in the terminal: its answers as tables, and what a layer does as code."""

from rich.console import Console
from rich.table import Table

from levgen.architecture.schema import Architecture
from levgen.scaffold.names import model_name
from levgen.scaffold.view import PortView


def print_architecture(architecture: Architecture) -> None:
    """Prints the hyperparameters, the answers and the forward of a layer of `architecture`."""
    console = Console(highlight=False)
    view = PortView(architecture, model_name("model"))
    console.print(f"[bold]{architecture.title}[/bold]: {view.summary}")
    if architecture.reference:
        reference = architecture.reference
        source = f"{reference.module}.{reference.model} (transformers {reference.version})"
        console.print(f"Reference: {source}", soft_wrap=True)
    console.print()
    console.print(_hyperparameters(architecture))
    console.print(_answers(architecture))
    console.print("[bold]A layer[/bold]")
    for line in view.layer_body:
        console.print(f"  {line}", markup=False, soft_wrap=True)
    for title, fields in (("Fixed by the architecture", architecture.fixed), ("Ignored", architecture.ignored)):
        if fields:
            console.print(f"\n[bold]{title}[/bold]")
            for name, value in fields.items():
                console.print(f"  {name}: {value}", markup=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _hyperparameters(architecture: Architecture) -> Table:
    table = _table("Hyperparameter", "Default", "Hugging Face field")
    for name, parameter in architecture.hyperparameters.items():
        unset = f" (unset: {parameter.unset})" if parameter.unset else ""
        table.add_row(name, str(parameter.default), f"{parameter.hf or ''}{unset}")
    table.add_section()
    return table


def _answers(architecture: Architecture) -> Table:
    table = _table("Answer", "Value")
    for group, answers in architecture.groups().items():
        for answer, value in answers:
            table.add_row(f"{group}.{answer}", str(value).lower() if isinstance(value, bool) else str(value))
    return table
