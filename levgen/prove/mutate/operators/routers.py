"""Which experts a token goes to, and what each of them weighs."""

from collections.abc import Iterator

import libcst as cst

from levgen.prove.mutate.operator import operator
from levgen.prove.mutate.site import Site

_CHOOSE = "top_experts"
_SOFTMAX, _SIGMOID = "hnn.softmax", "hnn.sigmoid"


def _called(node: cst.CSTNode, site: Site) -> tuple[str, list[str]]:
    """What `node` calls, and the arguments as they are written; ("", []) for what is no call."""
    if not isinstance(node, cst.Call):
        return "", []
    given = [site.code(argument.with_changes(comma=cst.MaybeSentinel.DEFAULT)).strip() for argument in node.args]
    return site.code(node.func), given


def _choose(*arguments: str) -> str:
    return f"{_CHOOSE}({', '.join(arguments)})"


def _axis(site: Site, name: str) -> str | None:
    """The config's axis called `name`, as it is written here; None where it has none."""
    return f"{site.config}.{name}" if site.config and name in site.facts.config.axes else None


@operator("top-k", "a token goes to one expert too few")
def choice_widened(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """Axis("top_expert", n) -> Axis("top_expert", n + 1). One less is made by `off_by_one`."""
    function, given = _called(node, site)
    if function == "Axis" and len(given) == 2 and given[0] == '"top_expert"':
        yield f"Axis({given[0]}, {given[1]} + 1)"


@operator("choice", "the experts with the largest scores are meant")
def choice_reversed(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """top_experts(scores, n) -> those with the smallest scores, which are weighed as before."""
    function, given = _called(node, site)
    if function == _CHOOSE and not any(argument.startswith("bias=") for argument in given):
        yield _choose(*given, f"bias=-2 * {given[0]}")


@operator("router scores", "scores come from another function")
def scores_changed(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """softmax(logits, Experts) <-> sigmoid(logits)."""
    function, given = _called(node, site)
    Experts = _axis(site, "Experts")
    if Experts is None or given[:1] != ["logits"]:
        return
    if function == _SOFTMAX:
        yield f"{_SIGMOID}({given[0]})"
    elif function == _SIGMOID:
        yield f"{_SOFTMAX}({given[0]}, {Experts})"


@operator("router softmax", "a softmax is too much")
def softmax_dropped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """softmax(x, axis) -> x."""
    function, given = _called(node, site)
    if function == _SOFTMAX and given:
        yield given[0]


@operator("router softmax", "the softmax is taken on the other side of the choice")
def softmax_moved(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """Over those chosen -> over all experts, before the choice; and back, where nothing divides by the sum."""
    function, given = _called(node, site)
    Experts, Chosen = _axis(site, "Experts"), _axis(site, "TopExperts")
    if Experts is None or Chosen is None:
        return
    if function == _SOFTMAX and given == ["weights", Chosen] and "logits" in site.assigned:
        yield f"hax.exp(weights - hnn.logsumexp(logits, {Experts}))"
    elif function == "hax.exp" and "logsumexp(logits" in "".join(given):
        yield f"{_SOFTMAX}(weights, {Chosen})"


@operator("router softmax", "a softmax is missing")
def softmax_added(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """top_experts(logits, n) -> top_experts(softmax(logits), n), and a softmax of the weights that experts get."""
    function, given = _called(node, site)
    Experts, Chosen = _axis(site, "Experts"), _axis(site, "TopExperts")
    if Experts and function == _CHOOSE and given[:1] == ["logits"]:
        yield _choose(f"{_SOFTMAX}(logits, {Experts})", *given[1:])
    elif Experts and site.exhaustive and isinstance(node, cst.Name) and node.value == "logits" and site.is_value:
        yield f"{_SOFTMAX}(logits, {Experts})"
        yield f"{_SIGMOID}(logits)"
    elif Chosen and _is_weights(node, site):
        yield f"{_SOFTMAX}(weights, {Chosen})"


@operator("router weights", "weights are not divided by their sum")
def weights_normalized(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """experts(x, chosen, weights) -> experts(x, chosen, weights / sum(weights)), where nothing else does so."""
    Chosen = _axis(site, "TopExperts")
    if Chosen and _is_weights(node, site) and site.assigned.count("weights") == 1:
        yield f"weights / hax.sum(weights, {Chosen})"


@operator("correction bias", "the bias that only chooses weighs too")
def correction_weighs(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """top_experts(scores, n, bias=b) -> top_experts(scores + b, n)."""
    function, given = _called(node, site)
    for argument in given if function == _CHOOSE else []:
        if argument.startswith("bias="):
            others = [other for other in given[1:] if other != argument]
            yield _choose(f"{given[0]} + {argument.removeprefix('bias=')}", *others)


@operator("correction bias", "the bias for the choice is missing, or weighs too")
def correction_added(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """top_experts(scores, n) and top_experts(scores + b, n) -> top_experts(scores, n, bias=b)."""
    function, given = _called(node, site)
    if not (site.exhaustive and function == _CHOOSE) or any(argument.startswith("bias=") for argument in given):
        return
    for name, annotation in site.owner.fields.items():
        if annotation == "NamedArray":
            scores = given[0].removesuffix(f" + self.{name}")
            yield _choose(scores, *given[1:], f"bias=self.{name}")


@operator("expert groups", "experts are chosen from all groups")
def groups_ignored(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """top_experts(scores, n, groups=g, kept_groups=k) -> top_experts(scores, n)."""
    function, given = _called(node, site)
    others = [argument for argument in given if not argument.startswith(("groups=", "kept_groups="))]
    if function == _CHOOSE and others != given:
        yield _choose(*others)


@operator("expert groups", "a group is as good as its best experts, and other numbers of them count")
def groups_judged(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """top_experts(..., groups=g, ...) -> with best_of_group=1: by its best expert alone."""
    function, given = _called(node, site)
    named = {argument.partition("=")[0] for argument in given}
    if function == _CHOOSE and "groups" in named and "best_of_group" not in named:
        yield _choose(*given, "best_of_group=1")


@operator("expert weights", "a weight multiplies what an expert makes, not what it is given, or the other way round")
def weights_moved(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """self.experts(x, chosen, weights, f, weigh_inputs=True) -> without; and with it, where it is not there."""
    function, given = _called(node, site)
    if len(given) < 4 or given[1:3] != ["chosen", "weights"]:
        return
    rest = [argument for argument in given if argument != "weigh_inputs=True"]
    if len(rest) < len(given):
        yield f"{function}({', '.join(rest)})"
    elif site.exhaustive:
        yield f"{function}({', '.join(given)}, weigh_inputs=True)"


@operator("expert groups", "experts are chosen from the best groups only")
def groups_added(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """top_experts(scores, n) -> with the groups that the config has."""
    function, given = _called(node, site)
    groups = [name for name in site.facts.config.fields if "group" in name and "expert" in name]
    kept = [name for name in site.facts.config.fields if "group" in name and "kept" in name]
    if site.exhaustive and function == _CHOOSE and not any("groups=" in argument for argument in given):
        for many, few in zip(groups, kept, strict=False):
            yield _choose(*given, f"groups={site.config}.{many}", f"kept_groups={site.config}.{few}")


@operator("swapped halves", "gate and up of the experts are swapped")
def lambda_swapped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """Lambda gate, up: ... -> lambda up, gate: ..."""
    match node:
        case cst.Lambda(params=cst.Parameters(params=[cst.Param(name=one), cst.Param(name=other)]), body=body):
            yield f"lambda {other.value}, {one.value}: {site.code(body)}"


@operator("name in the checkpoint", "two tensors of an expert are read under each other's name")
def files_swapped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """in_files={"gate": "w1", "up": "w3"} -> {"gate": "w3", "up": "w1"}."""
    if isinstance(node, cst.Dict) and site.keyword == "in_files":
        entries = [element for element in node.elements if isinstance(element, cst.DictElement)]
        names = [(site.code(entry.key), site.code(entry.value)) for entry in entries]
        if len(names) >= 3:
            (one, first), (other, second), *rest = names
            yield "{" + ", ".join(f"{key}: {value}" for key, value in [(one, second), (other, first), *rest]) + "}"


def _is_weights(node: cst.CSTNode, site: Site) -> bool:
    """Whether `node` hands the weights of the chosen experts to the experts."""
    return (
        isinstance(node, cst.Name)
        and node.value == "weights"
        and "chosen" in site.assigned
        and isinstance(site.parent, cst.Arg)
        and site.parent.keyword is None
        and site.calls[:1] not in ((_SOFTMAX,), ("hax.sum",))
    )
