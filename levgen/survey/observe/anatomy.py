"""The anatomy of a layer: its leaves (affine maps, norms, mixtures of experts), and what lies between them.

No submodule is taken for an attention or an MLP. A leaf's input is a sum of tensors that came before it, or columns of
one, or the output of a core: what is computed between leaves. A core that mixes positions is an attention's, one that
does not is a channel block's activation.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from levgen.reference.record import Call, Probe, record
from levgen.survey.evidence import Evidence, UnresolvedError, relative
from levgen.survey.mixture.whole import Mixture, find_mixture
from levgen.survey.observe.chain import parts_with_parameters
from levgen.survey.observe.chosen_keys import all_keys, find_chooser, given_choice
from levgen.survey.observe.columns import ROTATED, Columns, Joined, Narrowed, find_columns, find_joined
from levgen.survey.observe.gated_norms import find_gated_norms
from levgen.survey.observe.leaves import COMPUTES, Affine, NormLeaf, identify, is_elementwise
from levgen.survey.observe.shapes import canonical, native, random_like
from levgen.survey.observe.sums import Sum, explain
from levgen.survey.questions.learned_activation import Learned, identify_learned

INPUT, OUTPUT = "<input>", "<output>"
# So many experiments run in one forward, each a text of its own; fewer than _MANY aren't worth asking whether they may.
_TOGETHER, _MANY = 24, 6
# Texts that go together differ by no more than this from what they are alone.
_SAME = 1e-12


@dataclass(frozen=True)
class Core:
    """What is computed from `sources` (leaves) before `target` (a leaf). `mixes`: positions see one another."""

    target: str
    sources: tuple[str, ...]
    mixes: bool


@dataclass
class Anatomy:
    """One layer, taken apart. `inputs`: what each leaf and the layer's output are made from."""

    probe: Probe
    leaves: dict[str, Affine | NormLeaf | Mixture]
    given: dict[str, Any]  # leaf -> its input [T, N]
    gave: dict[str, Any]  # leaf -> its output [T, N]
    inputs: dict[str, Sum | Columns | Joined | Core] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    loose: dict[str, Any] = field(default_factory=dict)  # parameters outside called modules, by name
    learned: dict[str, Learned] = field(default_factory=dict)  # activations with parameters: no leaves, part of a core
    module: Any = None
    held: dict[str, Any] = field(default_factory=dict)  # leaf -> what it gives [T, N] in every experiment
    narrowed: dict[str, Narrowed] = field(default_factory=dict)  # leaves of which experiments know some columns only
    chooser: Call | None = None  # the module that says which keys a query sees; in every experiment it says all
    choice: tuple[int | str, Any] | None = None  # the argument that says so where no module does; likewise
    # Leaves and the one that is wanted -> whether the layer takes several texts at once.
    several: dict[tuple[str, ...], bool] = field(default_factory=dict, init=False)

    def raw(self, leaf: str) -> Any:
        """The output of a leaf in its own shape."""
        return self.probe.calls[leaf].output

    def _shaped(self, leaf: str, tensor: Any) -> Any:
        """What experiments know of a leaf's output [T, N] in its own shape."""
        own = self.narrowed.get(leaf)
        return native(tensor if own is None else own.whole(tensor), self.raw(leaf))

    def run(self, replaced: dict[str, Any], want: str, *, input: Any = None) -> Any:
        """The input [T, N] of the leaf `want` (or the layer's output), other leaves' outputs [T, N] replaced."""
        shaped = {name: self._shaped(name, tensor) for name, tensor in {**self.held, **replaced}.items()}
        if self.chooser is not None:
            shaped[self.chooser.name] = all_keys(self.chooser.output)
        found = self.probe.run(
            shaped, input=input, want=None if want == OUTPUT else want, arguments=self._all_keys_given()
        )
        return canonical(found)

    def _all_keys_given(self, count: int = 1) -> dict[int | str, Any]:
        """Of the argument that says which keys a query sees, that it sees all, for so many texts."""
        if self.choice is None:
            return {}
        place, chosen = self.choice
        every = all_keys(chosen)
        return {place: every.expand(count, *every.shape[1:])}

    def run_each(self, cases: Sequence[dict[str, Any]], want: str) -> list[Any]:
        """What `run` gives for each of `cases`, which replace the same leaves: as many in one forward as do well,
        where the layer takes several texts, else one after another."""
        if not (len(cases) >= _MANY and self._takes_several(tuple(cases[0]), want)):
            return [self.run(case, want) for case in cases]
        parts = [cases[start : start + _TOGETHER] for start in range(0, len(cases), _TOGETHER)]
        return [found for part in parts for found in self._run_together(part, want)]

    def _takes_several(self, leaves: tuple[str, ...], want: str) -> bool:
        """Whether several texts in one forward give what each gives alone, for random outputs of `leaves`."""
        key = (*leaves, want)
        if key not in self.several:
            draws = [{leaf: random_like(self.gave[leaf], seed=31 + n) for leaf in leaves} for n in range(3)]
            try:
                found = self._run_together(draws, want)
            except Exception:  # whatever a layer fails with that is made for one text
                found = [None] * len(draws)
            alone = [self.run(draw, want) for draw in draws]
            self.several[key] = all(
                several is not None and several.shape == one.shape and relative(several, one) <= _SAME
                for several, one in zip(found, alone, strict=True)
            )
        return self.several[key]

    def _run_together(self, cases: Sequence[dict[str, Any]], want: str) -> list[Any]:
        """What `run` gives for each of `cases`, of the same leaves: in one forward, as of so many texts.

        Raises UnresolvedError where a leaf or the layer doesn't take several texts at once.
        """
        import torch

        count, batch = len(cases), {}
        every = [{**self.held, **one} for one in cases]
        for name, first in every[0].items():
            like = self.raw(name)
            if like.dim() < 3 or like.shape[0] != 1:
                raise UnresolvedError("several texts at once", f"{name} gives {list(like.shape)}")
            if all(one[name] is first for one in every):
                batch[name] = self._shaped(name, first).expand(count, *like.shape[1:])
            else:
                batch[name] = torch.cat([self._shaped(name, one[name]) for one in every])
        if self.chooser is not None:
            chosen = all_keys(self.chooser.output)
            batch[self.chooser.name] = chosen.expand(count, *chosen.shape[1:])
        input = self.probe.input.expand(count, *self.probe.input.shape[1:])
        out = self.probe.run(
            batch, input=input, want=None if want == OUTPUT else want, arguments=self._all_keys_given(count)
        )
        if out.shape[0] != count:
            raise UnresolvedError("several texts at once", f"{count} of them come out as {list(out.shape)}")
        return [canonical(out[index : index + 1]) for index in range(count)]

    def cores(self, *, mixing: bool) -> list[Core]:
        return [item for item in self.inputs.values() if isinstance(item, Core) and item.mixes == mixing]


def dissect(call: Call) -> Anatomy:
    """Takes the layer of `call` apart. Raises UnresolvedError where a module or a tensor in it is not explained."""
    module = call.module
    every = {name: child for name, child in module.named_modules() if name}
    made = record(lambda: module(*call.args, **call.kwargs), every, arguments=True)
    mixture = find_mixture(module, _by_name(made))
    if mixture is not None:  # it is one leaf: what it calls is a part of it
        made = [c for c in made if not c.name.startswith(f"{mixture.bank.name}.")]
    chooser = find_chooser(module, made)
    if chooser is not None:  # it is asked about when all else is known
        made = [c for c in made if c.name != chooser.name and not c.name.startswith(f"{chooser.name}.")]
    gated = find_gated_norms(module, _by_name(made))
    made = [c for c in made if not any(c.name.startswith(f"{name}.") for name in gated)]
    made = _call_by_call(made)
    every |= {c.name: c.module for c in made}
    called = [c.name for c in made]
    holding = parts_with_parameters(module, set(called))
    if "" in holding or not holding:
        raise UnresolvedError("what a layer is made of", "it has parameters and calls no module that has", module)
    known = [*holding, *(() if chooser is None else (chooser.name,))]
    loose = {n: p for n, p in module.named_parameters() if not any(n.startswith(f"{leaf}.") for leaf in known)}
    by_name = _by_name(made)
    bare = [name for name in dict.fromkeys(called) if name not in holding and _may_be_norm(name, by_name, holding)]
    names = [name for name in dict.fromkeys(called) if name in holding or name in bare]
    twice = [name for name in names if len(by_name[name]) != 1]
    if twice:
        raise UnresolvedError("what a layer is made of", f"called more than once: {twice}", every[twice[0]])
    leaves: dict[str, Affine | NormLeaf | Mixture] = {}
    learned: dict[str, Learned] = {}
    given, gave = {}, {}
    for name in names:
        one = by_name[name][0]
        x, y = (None if t is None else canonical(t) for t in (one.input, one.output))
        if x is None or y is None:
            if name in bare:
                continue
            shapes = [None if t is None else list(t.shape) for t in (one.input, one.output)]
            raise UnresolvedError("what a module of a layer computes", f"{name}: shapes {shapes}", one.module)
        try:
            own = mixture if mixture is not None and name == mixture.bank.name else None
            leaves[name] = own or gated.get(name) or identify(one.module, one.input)
        except UnresolvedError as error:
            if name in bare:
                continue
            learned[name] = _learned(one, error)
            continue
        given[name], gave[name] = x, y
    watched = [*leaves, *(() if chooser is None else (chooser.name,))]
    probe = Probe(call, {name: every[name] for name in watched})
    evidence = [own.evidence for own in learned.values()]
    evidence += [leaf.gate.evidence for leaf in gated.values() if leaf.gate is not None]
    evidence += mixture.evidence if mixture is not None else ()
    choice = given_choice(call) if chooser is None else None
    anatomy = Anatomy(
        probe,
        leaves,
        given,
        gave,
        evidence=evidence,
        loose=loose,
        learned=learned,
        module=module,
        chooser=chooser,
        choice=choice,
    )
    for name in [*leaves, OUTPUT]:
        _explain_input(anatomy, name, module)
    return anatomy


def _call_by_call(calls: list[Call]) -> list[Call]:
    """The calls, with names of their own where a module without parameters is called several times: `norm@0`, ..."""
    numbers: dict[str, int] = {}
    named = []
    times = Counter(call.name for call in calls)
    for call in calls:
        number = numbers.get(call.name, 0)
        numbers[call.name] = number + 1
        apart = times[call.name] > 1 and not any(True for _ in call.module.parameters())
        named.append(replace(call, name=f"{call.name}@{number}") if apart else call)
    return named


def _by_name(calls: list[Call]) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = {}
    for one in calls:
        found.setdefault(one.name, []).append(one)
    return found


def _learned(call: Call, error: UnresolvedError) -> Learned:
    """The activation that a module is. Raises UnresolvedError where it is none; `error`: why it is no leaf."""
    if error.unknown.question == COMPUTES and is_elementwise(call):
        try:
            return identify_learned(call.module)
        except UnresolvedError as other:
            error = other
    raise UnresolvedError(error.unknown.question, f"{call.name}: {error.unknown.observed}", call.module) from error


def _may_be_norm(name: str, by_name: dict[str, list[Call]], holding: dict[str, Any]) -> bool:
    """Whether a module without parameters may be a norm: it changes its input, not its shape, and is no activation."""
    import torch

    one = by_name[name][0]
    if len(by_name[name]) != 1:
        return False
    if any(name.startswith(f"{leaf}.") or leaf.startswith(f"{name}.") for leaf in holding):
        return False  # in a module with parameters, or around one
    x, y = one.input, one.output
    if x is None or y is None or x.shape != y.shape or x.dtype != y.dtype or torch.equal(x, y) or x.shape[-1] < 2:
        return False
    try:
        with torch.no_grad():
            # An activation treats channels apart; a norm doesn't.
            changed = x.clone()
            changed[..., 0] += 1.0
            return not torch.equal(one.module(changed)[..., 1:], one.module(x)[..., 1:])
    except Exception:
        return False


def _explain_input(anatomy: Anatomy, name: str, layer: Any) -> None:
    """Finds what goes into `name`: a sum, columns of an earlier output, or a core."""
    target = canonical(anatomy.probe.output) if name == OUTPUT else anatomy.given[name]
    order = list(anatomy.leaves)
    earlier = order if name == OUTPUT else order[: order.index(name)]
    terms = {INPUT: canonical(anatomy.probe.input), **{leaf: anatomy.gave[leaf] for leaf in earlier}}
    # A vector that no module of the layer holds may be added as it is, at every position.
    terms |= {n: p.detach().expand(target.shape) for n, p in anatomy.loose.items() if p.shape == target.shape[1:]}
    found: Sum | Columns | Joined | Core | None = explain(target, terms)
    if isinstance(found, Sum):
        anatomy.evidence.append(
            Evidence(
                f"what goes into {name}",
                " + ".join(f"{c:g} * {term}" for term, c in found.terms.items()),
                found.error,
                f"without {found.least}",
                found.without,
                "least squares over the tensors before it",
            )
        )
    if found is None:
        gave = {leaf: anatomy.gave[leaf] for leaf in earlier}
        found = find_columns(target, gave) or find_joined(target, gave)
    if found is None:
        if name == OUTPUT:
            raise UnresolvedError("what comes out of a layer", "it is no sum of the tensors in it", layer)
        found = _core(anatomy, name, earlier, layer)
        if not found.mixes and len(found.sources) == 1:
            # At position 0 a rotation does nothing.
            source = found.sources[0]
            columns = find_columns(target[:1], {source: anatomy.gave[source][:1]}, ROTATED)
            found = found if columns is None else Columns(source, columns.columns, turned=True)
    anatomy.inputs[name] = found


def _core(anatomy: Anatomy, name: str, earlier: list[str], layer: Any) -> Core:
    """The leaves that reach `name` while all others are held at what they gave, and whether positions mix."""
    import torch

    held = {leaf: anatomy.gave[leaf] for leaf in earlier}
    before = anatomy.run(held, name)
    length = before.shape[0]
    middle = length // 3
    sources, mixes = [], False
    for leaf in earlier:
        moved = held[leaf].clone()
        moved[middle] += random_like(moved[middle], std=float(moved.std()), seed=5)
        change = (anatomy.run({**held, leaf: moved}, name) - before).abs().amax(dim=1)
        if float(change.max()) <= 1e-12 * float(before.abs().max()):
            continue
        sources.append(leaf)
        others = torch.ones(length, dtype=torch.bool)
        others[middle] = False
        mixes |= float(change[others].max()) > 1e-12 * float(before.abs().max())
    if not sources:
        raise UnresolvedError("what goes into a module of a layer", f"{name}: no leaf reaches it", layer)
    moved_input = anatomy.probe.input + random_like(anatomy.probe.input, seed=6)
    if float((anatomy.run(held, name, input=moved_input) - before).abs().max()) > 1e-12 * float(before.abs().max()):
        raise UnresolvedError(
            "what goes into a module of a layer", f"{name}: the layer's input reaches it directly", layer
        )
    return Core(name, tuple(sources), mixes)
