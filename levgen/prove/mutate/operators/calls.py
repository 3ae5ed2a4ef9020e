"""What is called, in which order, and with which arguments."""

import inspect
import itertools
import typing
from collections.abc import Iterator, Sequence

import libcst as cst

from levgen.prove.mutate.operator import operator
from levgen.prove.mutate.site import Site

_UNTOUCHED = ("key", "config", "gradient_checkpointing")


def _call(function: str, arguments: Sequence[str]) -> str:
    return f"{function}({', '.join(arguments)})"


def _arguments(node: cst.Call, site: Site) -> list[str]:
    return [site.code(argument.with_changes(comma=cst.MaybeSentinel.DEFAULT)).strip() for argument in node.args]


def _positional(node: cst.Call) -> list[cst.Arg]:
    return [argument for argument in node.args if argument.keyword is None and not argument.star]


def _is_field(function: cst.CSTNode, site: Site) -> bool:
    """Whether `function` is a module in a field, or a rotation."""
    match function:
        case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)):
            return name in site.owner.fields
        case cst.Name(value=name):
            return site.is_rotation(name)
    return False


@operator("extra call", "a module or a rotation is too much")
def call_skipped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """self.norm(x) -> x, rope(q, positions) -> q."""
    if isinstance(node, cst.Call) and _is_field(node.func, site) and _positional(node):
        yield site.code(_positional(node)[0].value)


@operator("missing step", "a step that narrows or reshapes is too much")
def method_skipped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """mask.with_sliding_window(n) -> mask."""
    match node:
        case cst.Call(func=cst.Attribute(value=cst.Name(value=name))) if name in (*site.values, *site.masks):
            yield name


@operator("missing call", "a module of the class is never called")
def call_inserted(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """x -> self.norm(x), for a module in a field that the function doesn't call."""
    if not (site.exhaustive and site.is_forward and isinstance(node, cst.Name | cst.Call)):
        return
    if isinstance(node, cst.Name) and (node.value not in site.values or not isinstance(site.parent, cst.Arg)):
        return
    if isinstance(node, cst.Call) and not _is_field(node.func, site):
        return
    body = "".join(site.code(parent) for parent in site.parents[:1])
    for name, annotation in site.owner.fields.items():
        if "Norm" in annotation and f"self.{name}(" not in body:
            yield f"self.{name}({site.code(node)})"


@operator("order", "two modules are applied in the wrong order")
def calls_swapped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """f(g(x)) -> g(f(x)): a norm before or after what it normalises, a rotation before or after a norm."""
    match node:
        case cst.Call(func=outer, args=[cst.Arg(value=cst.Call(func=inner) as below), *more]):
            if _is_field(outer, site) and _is_field(inner, site) and _positional(below):
                rest = [site.code(argument).strip().rstrip(",") for argument in below.args[1:]]
                own = [site.code(argument).strip().rstrip(",") for argument in more]
                first = site.code(_positional(below)[0].value)
                yield _call(site.code(inner), [_call(site.code(outer), [first, *own]), *rest])


@operator("swapped arguments", "two arguments are swapped")
def arguments_swapped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """f(q, k, v) -> f(k, q, v), f(q, v, k)."""
    if not isinstance(node, cst.Call) or len(_positional(node)) < 2:
        return
    arguments, count = _arguments(node, site), len(_positional(node))
    pairs = (
        itertools.combinations(range(count), 2)
        if site.exhaustive
        else zip(range(count - 1), range(1, count), strict=True)
    )
    for i, j in pairs:
        swapped = list(arguments)
        swapped[i], swapped[j] = swapped[j], swapped[i]
        yield _call(site.code(node.func), swapped)


@operator("argument", "an argument is too much")
def keyword_dropped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """Norm.init(axis, eps=e, offset=1.0) -> Norm.init(axis, eps=e)."""
    if not isinstance(node, cst.Call) or _makes_own_class(node, site):
        return
    arguments = _arguments(node, site)
    for index, argument in enumerate(node.args):
        if argument.keyword is not None and argument.keyword.value not in _UNTOUCHED:
            yield _call(site.code(node.func), arguments[:index] + arguments[index + 1 :])


@operator("argument", "an argument is missing")
def keyword_added(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """rope(q, positions, axis) -> rope(q, positions, axis, layout="interleaved"); Norm.init(...) -> offset=1.0."""
    if not isinstance(node, cst.Call):
        return
    given = {argument.keyword.value for argument in node.args if argument.keyword is not None}
    for name, values in _optional(node, site).items():
        if name not in given and name not in _UNTOUCHED:
            for value in values:
                yield _call(site.code(node.func), [*_arguments(node, site), f"{name}={value}"])


@operator("bias", "a switch is always on or always off")
def flag_flipped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """True <-> False; a switch of the config -> True and False."""
    match node:
        case cst.Name(value="True" | "False" as value):
            yield str(value == "False")
        case cst.Attribute(value=owner, attr=cst.Name(value=name)) if site.code(owner) == site.config:
            if site.facts.config.fields.get(name) == "bool":
                yield "True"
                yield "False"


@operator("gradient", "a gradient is stopped")
def gradient_stopped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """self.mlp(x) -> self.mlp(stop_gradient(x))."""
    if (
        site.is_forward
        and isinstance(node, cst.Name)
        and node.value in site.values
        and isinstance(site.parent, cst.Arg)
    ):
        yield f'__import__("jax").lax.stop_gradient({node.value})'


def _makes_own_class(node: cst.Call, site: Site) -> bool:
    """Whether the call makes an instance of a class of the file, all of whose fields it must give."""
    return site.code(node.func) in ("cls", *site.facts.classes)


def _optional(node: cst.Call, site: Site) -> dict[str, list[str]]:
    """Optional keyword arguments of what is called, and the values that they may have instead of their default."""
    import levgen.runtime as runtime

    name = site.code(node.func)
    head, _, method = name.partition(".")
    function: object = None
    if site.is_rotation(name):
        function = runtime.Rotary.__call__
    elif hasattr(runtime, head):
        function = getattr(getattr(runtime, head), method, None) if method else getattr(runtime, head)
    if not callable(function) or inspect.isclass(function):
        return {}
    found = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is inspect.Parameter.empty:
            continue
        values = [repr(other) for other in _others(parameter) if other != parameter.default]
        if parameter.name == "softcap" and site.config:
            caps = [field for field in site.facts.config.fields if "cap" in field]
            values = [f"{site.config}.{field}" for field in caps]
        found[parameter.name] = values
    return found


def _others(parameter: inspect.Parameter) -> list[object]:
    if isinstance(parameter.default, bool):
        return [True, False]
    if parameter.name == "offset" and isinstance(parameter.default, float):
        return [1.0]
    return (
        list(typing.get_args(parameter.annotation)) if typing.get_origin(parameter.annotation) is typing.Literal else []
    )
