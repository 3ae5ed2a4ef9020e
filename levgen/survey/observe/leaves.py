"""What is a module with parameters: an affine map, a norm, a table? Found by calling it."""

from dataclasses import dataclass
from typing import Any

from levgen.reference.record import Call
from levgen.survey.evidence import Evidence, UnresolvedError, choose, relative
from levgen.survey.observe.shapes import LENGTH, canonical, random_like

COMPUTES = "what a module with parameters computes"


@dataclass(frozen=True)
class Affine:
    """y = x W + b. `transposed`: the weight is stored {in, out}."""

    weight: str
    bias: str | None
    transposed: bool
    width: int
    error: float


@dataclass(frozen=True)
class NormGate:
    """What a norm gives is multiplied by a sigmoid of up(act(down(it))). All are modules, by their names in the whole.

    `width`: of what lies between the maps. `activations`: names of one function.
    """

    norm: str
    down: str
    up: str
    width: int
    activations: tuple[str, ...]
    evidence: Evidence


@dataclass(frozen=True)
class NormLeaf:
    """A norm over the last `width` channels. `offset`: the gain is 1 + weight; None where it has no weight."""

    kind: str
    weight: str | None
    bias: str | None
    offset: bool | None
    eps: float
    width: int
    evidence: Evidence
    gate: NormGate | None = None


@dataclass(frozen=True)
class Table:
    """Rows of a parameter, times `scale`, looked up. `rows`: the row of each position."""

    weight: str
    rows: tuple[int, ...]
    scale: float
    error: float


def identify(module: Any, example: Any) -> Affine | NormLeaf:
    """What `module` computes, for inputs in the shape of `example`. Raises UnresolvedError for anything else."""
    import torch

    def call(x: Any) -> Any:
        with torch.no_grad():
            out = module(x)
        return out[0] if isinstance(out, tuple) else out

    question = COMPUTES
    try:
        outputs = [call(x) for x in (random_like(example, seed=1), random_like(example, seed=2))]
        both = call(random_like(example, seed=1) + random_like(example, seed=2))
        at_zero = call(torch.zeros_like(example))
    except Exception as error:
        raise UnresolvedError(
            question, f"it can't be called alone ({type(error).__name__}: {error})", module
        ) from error
    additive = relative(outputs[0] + outputs[1] - at_zero, both)
    if additive < 1e-6:
        return _affine(module, call, example, at_zero)
    return _norm(module, call, example)


def is_elementwise(call: Call) -> bool:
    """Whether each number that a module gives depends on the one in its place alone, and isn't just that number."""
    import torch

    x = call.input
    if torch.equal(x, call.output) or x.dim() < 2:
        return False
    moved = x.clone()
    moved[..., -1, 0] += 1.0
    try:
        with torch.no_grad():
            before, after = call.module(x), call.module(moved)
    except Exception:
        return False
    if not isinstance(after, torch.Tensor) or after.shape != x.shape:
        return False
    changed = before != after
    changed[..., -1, 0] = False
    return not bool(changed.any())


def _affine(module: Any, call: Any, example: Any, at_zero: Any) -> Affine:
    import torch

    question = "which parameter a linear map holds"
    width = example.shape[-1]
    rows = []
    flat = example.reshape(-1, width).shape[0]
    for start in range(0, width, flat):
        basis = torch.zeros_like(example).reshape(flat, width)
        for row in range(min(flat, width - start)):
            basis[row, start + row] = 1.0
        out = call(basis.reshape(example.shape)) - at_zero
        rows.append(out.reshape(flat, -1)[: min(flat, width - start)])
    matrix = torch.cat(rows)
    errors = {}
    for name, parameter in module.named_parameters():
        if parameter.dim() == 2:
            if parameter.T.shape == matrix.shape:
                errors[name, False] = relative(parameter.detach().T, matrix)
            if parameter.shape == matrix.shape:
                errors[name, True] = relative(parameter.detach(), matrix)
    if not errors:
        raise UnresolvedError(question, f"a linear map {list(matrix.shape)} of no parameter of that shape", module)
    found = choose(question, errors, "outputs for a basis of inputs", module=module)
    constant = at_zero.reshape(flat, -1)[0]
    bias = None
    if float(constant.abs().max()) > 0:
        biases = {
            name: relative(parameter.detach().reshape(-1), constant)
            for name, parameter in module.named_parameters()
            if parameter.numel() == constant.numel() and name != found.chosen[0]
        }
        if not biases or min(biases.values()) > 1e-6:
            raise UnresolvedError(question, "the output for zeros is no parameter", module)
        bias = min(biases, key=lambda name: biases[name])
    _no_more_parameters(question, module, {found.chosen[0], bias})
    return Affine(found.chosen[0], bias, found.chosen[1], matrix.shape[1], found.error or 0.0)


def _norm(module: Any, call: Any, example: Any) -> NormLeaf:

    question = "which norm"
    width = example.shape[-1]
    if call(example).shape != example.shape:
        raise UnresolvedError(question, "neither affine nor of one shape in and out", module)
    # Large inputs hide eps; their mean is far from 0, which tells the kinds apart.
    x = (random_like(example, std=100.0, seed=3) + 50.0).reshape(-1, width)
    y = call(x.reshape(example.shape)).reshape(-1, width)
    centred = x - x.mean(-1, keepdim=True)
    normal = {
        "rms": x * x.pow(2).mean(-1, keepdim=True).rsqrt(),
        "layer": centred * centred.pow(2).mean(-1, keepdim=True).rsqrt(),
    }
    fits = {}
    for kind, n in normal.items():
        # gain and bias of each channel by least squares
        n_mean, y_mean = n.mean(0), y.mean(0)
        gain = ((n - n_mean) * (y - y_mean)).sum(0) / (n - n_mean).pow(2).sum(0)
        bias = y_mean - gain * n_mean
        fits[kind] = (gain, bias, relative(gain * n + bias, y))
    errors = {kind: fit[2] for kind, fit in fits.items()}
    if min(errors.values()) > 1e-2:
        tried = ", ".join(f"{kind} {error:.1e}" for kind, error in errors.items())
        parameters = {name: list(p.shape) for name, p in module.named_parameters()}
        raise UnresolvedError(
            COMPUTES,
            f"neither affine nor a norm ({tried}); it holds {parameters}",
            module,
        )
    evidence = choose(question, errors, "inputs of std 100 around 50", module=module)
    kind = evidence.chosen
    gain, bias, _ = fits[kind]
    vectors = {name: p.detach() for name, p in module.named_parameters() if p.numel() == width}
    weight, offset = None, None
    if float((gain - 1).abs().max()) > 1e-4:
        forms = {(name, False): relative(p.reshape(-1), gain) for name, p in vectors.items()}
        forms |= {(name, True): relative(1 + p.reshape(-1), gain) for name, p in vectors.items()}
        if not forms or min(forms.values()) > 1e-4:
            raise UnresolvedError(question, f"its gain is neither a parameter p of {width} values nor 1 + p", module)
        weight, offset = min(forms, key=lambda form: forms[form])
    bias_name = None
    if float(bias.abs().max()) > 1e-3 * float(y.abs().max()):
        biases = {name: relative(p.reshape(-1), bias) for name, p in vectors.items() if name != weight}
        if not biases or min(biases.values()) > 1e-3:
            raise UnresolvedError(question, "what it adds is no parameter", module)
        bias_name = min(biases, key=lambda name: biases[name])
    _no_more_parameters(question, module, {weight, bias_name})
    exact_gain = 1.0 if weight is None else vectors[weight].reshape(-1) + (1.0 if offset else 0.0)
    exact_bias = 0.0 if bias_name is None else vectors[bias_name].reshape(-1)
    eps = _epsilon(module, call, example, kind, exact_gain, exact_bias)
    return NormLeaf(kind, weight, bias_name, offset, eps, width, evidence)


def _epsilon(module: Any, call: Any, example: Any, kind: str, gain: Any, bias: Any) -> float:
    """What is added to the mean square: from inputs so small that it shows."""
    import torch

    width = example.shape[-1]
    found = []
    for std in (1e-3, 1e-4):
        x = random_like(example, std=std, seed=4).reshape(-1, width)
        y = (call(x.reshape(example.shape)).reshape(-1, width) - bias) / gain
        if kind == "layer":
            x = x - x.mean(-1, keepdim=True)
        ratio = (y * x).sum(-1) / x.pow(2).sum(-1)
        found.append(float(torch.median(ratio.pow(-2) - x.pow(2).mean(-1))))
    if abs(found[0] - found[1]) > 1e-2 * abs(found[1]) + 1e-12:
        raise UnresolvedError(
            "a norm's epsilon", f"{found[0]:.3g} from inputs of 1e-3, {found[1]:.3g} from 1e-4", module
        )
    return float(f"{found[1]:.4g}")


def identify_table(module: Any, output: Any, length: int = LENGTH) -> Table:
    """Which rows of which parameter an embedding gave. Raises UnresolvedError where its output holds no such rows."""
    rows = canonical(output.detach(), length)
    question = "which rows a table gave"
    for name, parameter in module.named_parameters():
        table = parameter.detach().double()
        if rows is None or table.dim() != 2 or table.shape[1] != rows.shape[1]:
            continue
        unit, unit_rows = (t / t.norm(dim=-1, keepdim=True) for t in (table, rows))
        found = (unit_rows @ unit.T).argmax(-1)
        picked = table[found]
        scale = float((picked * rows).sum().detach() / picked.pow(2).sum().detach())
        error = relative(scale * picked, rows)
        if error < 1e-6:
            _no_more_parameters(question, module, {name})
            return Table(name, tuple(int(row) for row in found), scale, error)
    raise UnresolvedError(question, "its output is no rows of a parameter", module)


def _no_more_parameters(question: str, module: Any, known: set[str | None]) -> None:
    more = sorted({name for name, _ in module.named_parameters()} - known)
    if more:
        raise UnresolvedError(question, f"parameters without a role: {', '.join(more)}", module)
