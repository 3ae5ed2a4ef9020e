"""Which evidence of a survey belongs to which answer, and how it is written in a table."""

from collections.abc import Iterable

from levgen.survey.evidence import Evidence

# Answer -> the questions of the survey that it rests on. `factor` and `switch` name the config's field.
_QUESTIONS: dict[str, tuple[str, ...]] = {
    "norm.kind": ("which norm",),
    "norm.eps": ("factor norm_eps",),
    **dict.fromkeys(
        (f"norm_gate.{answer}" for answer in ("attention", "mlp", "activation")), ("gate on what a norm puts out",)
    ),
    "positions.kind": ("rotary positions", "layout of rotary positions", "bias of a score by position"),
    "positions.layout": ("layout of rotary positions",),
    "attention.heads": ("queries, keys and values",),
    "attention.projections": ("order of the projections",),
    "attention.bias": ("switch of attention_bias",),
    "attention.output_bias": ("switch of output_bias",),
    "attention.query_latent": ("latent attention",),
    "attention.gate": ("gate on what attention puts out",),
    "attention.gate_in": ("gate on what attention puts out",),
    "attention.scale": ("factor attention_scale",),
    "attention.softcap": ("soft cap of scores",),
    "attention.window": ("window",),
    "attention.local": ("window",),
    "attention.qk_norm_switch": ("switch of has_qk_norm",),
    "positions.temperature": ("temperature of queries",),
    "positions.temperature_switch": ("switch of has_temperature",),
    "mlp.kind": ("channel block",),
    "mlp.projections": ("channel block",),
    "mlp.bias": ("switch of mlp_bias",),
    "mlp.activation": ("activation",),
    **dict.fromkeys(
        (
            f"moe.{answer}"
            for answer in ("scores", "router_bias", "correction", "correction_of", "groups", "normalized")
        ),
        ("how a router weighs experts",),
    ),
    "moe.other_groups": ("experts of groups that aren't kept",),
    "moe.weighs": ("what a router's weight multiplies", "how a router weighs experts"),
    "moe.scale": ("factor moe_scale", "how a router weighs experts"),
    **dict.fromkeys(
        (f"moe.{answer}" for answer in ("transposed", "interleaved", "bias", "gating")), ("what an expert computes",)
    ),
    "moe.shared": ("what every token gets",),
    "moe.balance": ("the loss of routers that are out of balance",),
    "layer.norms": ("what feeds what in a layer",),
    "layer.parallel": ("what feeds what in a layer",),
    "layer.attention_norm": ("layers with attention_norm",),
    "layer.mlp_norm": ("layers with mlp_norm",),
    "layer.added_bias": ("layers with added_bias",),
    "layer.residual_scale": ("factor residual_scale",),
    "embeddings.scale": ("factor embedding_scale", "embeddings"),
    "head.bias": ("switch of head_bias", "head"),
    "head.scale": ("factor logit_scale", "scale and cap of logits"),
    "head.softcap": ("scale and cap of logits",),
    "head_transform.bias": ("switch of transform_bias",),
    "head_transform.activation": ("activation before the head",),
    "initialization.residual": ("initialisation",),
}
# What is said of an answer that no single question settles: how fresh weights are drawn shows in no output.
REBUILT, ASSUMED = "the model rebuilt with it agrees", "no evidence: the usual"


def of_answer(answer: str, evidence: Iterable[Evidence]) -> Evidence | None:
    """The evidence for `answer`, such as `attention.scale`; None where no single question settles it."""
    by_question = {entry.question: entry for entry in evidence}
    return next((by_question[question] for question in _QUESTIONS.get(answer, ()) if question in by_question), None)


def of_hyperparameter(name: str, hf: str | None, evidence: Iterable[Evidence]) -> Evidence | None:
    """The evidence that the config's field `hf` is the hyperparameter `name`."""
    special = {"rope": "field of the rotation", "activation": "field of the activation"}
    special |= dict.fromkeys(("temperature_span", "temperature_scale"), "temperature of queries")
    special["head_activation"] = "field of the activation before the head"
    for entry in evidence:
        if entry.question in (f"field of {name}", special.get(name), f"factor {name}", f"field {hf}"):
            return entry
        by_field = entry.question.startswith(("factor ", "switch "))
        if hf is not None and by_field and str(entry.chosen).partition("**")[0] == hf:
            return entry
    return None


def said_of_answer(answer: str, evidence: Iterable[Evidence]) -> str:
    """The cell of a table for `answer`."""
    found = of_answer(answer, evidence)
    if found is not None:
        return written(found)
    return ASSUMED if answer.startswith("initialization.") else REBUILT


def written(evidence: Evidence) -> str:
    """`1.8e-15, next half 2.0e+00`: the error of what was chosen, and the runner-up with its own."""
    said = [evidence.probe if evidence.error is None else f"{evidence.error:.1e}"]
    if evidence.runner_up is not None:
        error = "" if evidence.runner_up_error is None else f" {evidence.runner_up_error:.1e}"
        said.append(f"next {evidence.runner_up}{error}")
    elif evidence.error is not None and evidence.probe:
        said.append(evidence.probe)
    return ", ".join(part for part in said if part)
