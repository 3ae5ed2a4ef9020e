"""Writing the page: what the template shows, made of the outcomes of a run."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from levgen.architecture.card import parse_card
from levgen.prove.diagnose.divergence import Divergence
from levgen.prove.ladder import LEVELS, Climbed
from levgen.prove.outcome import MODEL, MODULE
from levgen.prove.report.diagram import Drawing, layer_drawing
from levgen.prove.state import State
from levgen.prove.subject import Files
from levgen.prove.terminal import verdict
from levgen.resources import templates
from levgen.scaffold.complete import complete
from levgen.scaffold.dataflow.layer import dataflow_of
from levgen.scaffold.record import read_record_data

# The chart's frame, in units of its view box: x from 48 to 632, y from 12 to 180, and the errors that it spans.
_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 632.0, 12.0, 180.0
_LEAST, _MOST = 1e-9, 1e1
# The upper ends of the shades of the heat map, as multiples of the bound.
_SHADES = (0.1, 1.0, 10.0, 1e3, 1e4)
_DETAILS = 12


def render_page(files: Files, steps: Sequence[Climbed], state: State, divergence: Divergence | None) -> str:
    """The page's HTML. It holds no time and no path of a machine."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates() / "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    data = {step.rung.name: step.outcome.data for step in steps}
    modules = data.get("modules", {}).get("modules", [])
    layers = sorted({entry["layer"] for entry in modules if entry["layer"] is not None})
    record = read_record_data(files.record)
    drawing = _drawing(record)
    return env.get_template("page.html.jinja").render(
        model=files.name,
        status=state.levels()[-1],
        verdict=verdict(steps, state.levels()[-1]),
        levels=state.levels(),
        all_levels=LEVELS,
        divergence=divergence,
        rungs=[_rung(step) for step in steps],
        heat=_heat(modules, layers),
        layers=layers,
        bound=MODULE,
        charts=[
            _chart(title, data[name]["by_position"], MODEL)
            for name, title in (("forward", "Error by position"), ("positions", "Error by position, far out"))
            if data.get(name, {}).get("by_position")
        ],
        drawing=drawing,
        layer=None if drawing else _layer(modules, layers),
        answers=_answers(record),
        survey=_survey(record),
        about=[*state.files.items(), *state.versions.items()],
    )


def _rung(step: Climbed) -> dict[str, Any]:
    outcome = step.outcome
    details = outcome.details[:_DETAILS]
    return {"name": step.rung.name, "status": str(outcome.status), "line": outcome.line, "details": details}


def _heat(modules: Sequence[Mapping[str, Any]], layers: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each module, in the order in which they run, with a cell for each layer."""
    rows: dict[str, dict[int | None, float]] = {}
    for entry in modules:
        rows.setdefault(entry["part"], {})[entry["layer"]] = entry["error"]
    heat = []
    for part, errors in rows.items():
        # What is outside of layers has one cell.
        cells = [errors.get(layer) for layer in layers] if None not in errors else [errors[None]]
        heat.append({"part": part, "cells": [None if error is None else _cell(error) for error in cells]})
    return heat


def _cell(error: float) -> dict[str, str]:
    shade = sum(error > MODULE * multiple for multiple in _SHADES)
    return {"shade": f"e{shade}", "text": f"{error:.1e}"}


def _chart(title: str, errors: Sequence[float], bound: float) -> dict[str, Any]:
    """A line on a logarithmic scale."""

    def y(error: float) -> float:
        clipped = min(max(error, _LEAST), _MOST)
        share = math.log10(clipped / _LEAST) / math.log10(_MOST / _LEAST)
        return round(_BOTTOM - share * (_BOTTOM - _TOP), 1)

    step = (_RIGHT - _LEFT) / max(len(errors) - 1, 1)
    points = " ".join(f"{_LEFT + index * step:.1f},{y(error)}" for index, error in enumerate(errors))
    ticks = [{"y": y(10.0**power), "label": f"1e{power:+03d}"} for power in range(-8, 1, 2)]
    return {
        "title": title,
        "points": points,
        "ticks": ticks,
        "bound_y": y(bound),
        "last": len(errors) - 1,
        "least": f"{min(errors):.1e}",
        "most": f"{max(errors):.1e}",
    }


def _layer(modules: Sequence[Mapping[str, Any]], layers: Sequence[int]) -> dict[str, Any] | None:
    """The modules of one layer, nested as they are in the reference: for a model of which no record says more."""
    inside = [entry for entry in modules if layers and entry["layer"] == layers[0]]
    whole = next((entry for entry in inside if entry["part"] == "layer"), None)
    if whole is None:
        return None
    nodes = {entry["part"]: {"name": entry["part"], "class": entry["class"], "children": []} for entry in inside}
    root = nodes["layer"]
    for part, node in nodes.items():
        if node is not root:
            above = part.rpartition(".")[0]
            nodes.get(above, root)["children"].append(node)
            node["name"] = part.rpartition(".")[2].strip("<>")
    return root


def _drawing(record: Mapping[str, Any]) -> Drawing | None:
    """The dataflow of a layer as the record describes it; None without a record, and for one of stubs."""
    if not record.get("architecture"):
        return None
    architecture = parse_card(record["architecture"], source=f"the record of {record.get('model')}")
    return None if architecture.stubs else layer_drawing(dataflow_of(complete(architecture)))


def _survey(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """What found the architecture out, by experiment, as the record keeps it."""
    found = record.get("survey")
    if not found:
        return None

    def answer(value: Any, error: Any) -> str:
        return str(value) if error is None else f"{value} ({error:.1e})"

    rows = [
        {
            "question": entry["question"],
            "chosen": answer(entry.get("chosen", "none"), entry.get("error")),
            "next": answer(entry["runner_up"], entry.get("runner_up_error")) if "runner_up" in entry else "",
            "probe": entry.get("probe", ""),
        }
        for entry in found["evidence"]
    ]
    return {**found, "rows": rows, "logits": max(found["rebuilt"]["logits"], default=None)}


def _answers(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The answers in the record that the model was written from, where it has one."""
    architecture = record.get("architecture") or {}
    groups = ("norm", "norm_gate", "positions", "attention", "mlp", "layer", "embeddings", "head", "initialization")
    found = [
        (f"{group}.{name}", str(value)) for group in groups for name, value in (architecture.get(group) or {}).items()
    ]
    reference = architecture.get("reference") or {}
    if reference:
        found.insert(0, ("reference", f"{reference.get('module')}.{reference.get('model')}"))
    return found
