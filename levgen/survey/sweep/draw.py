"""Other configs of a surveyed model, drawn with hypothesis from the fields that its answers are read from."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError
from levgen.reference.randomize import token_ids
from levgen.reference.sizing.values import VOCAB
from levgen.reference.tiny import Tiny
from levgen.scaffold.views.parity import LISTS
from levgen.survey.observe.shapes import LENGTH

if TYPE_CHECKING:
    from hypothesis.strategies import DataObject

TRIES = 16
_SIMPLE = 2  # examples that hypothesis begins with, whatever the seed: the simplest there is, and one much like it
_DEPTHS = (1, 2, 3, 5, 6)
_WIDTHS = (40, 56, 72, 88, 104)
_HEAD_DIMS = (8, 12, 16, 20, 32)
_FACTORS = (0.5, 0.75, 1.5, 2.0)
_EPSILONS = (1e-6, 1e-4, 1e-2)
_THETAS = (100.0, 2000.0, 50000.0)
_FRACTIONS = (0.25, 0.5, 0.75, 1.0)
# Lists that say something of layers, and have no entry for each.
_OF_LAYERS = ("attention_types", "dense_layers", "sparse_layers")
T = TypeVar("T")


def draw(architecture: Architecture, port: Any, tiny: Tiny, seed: str) -> dict[str, Any]:
    """Fields of the reference's config beside the tiny config's, of a draw that the reference builds and runs.

    `port`: the rendered model, whose config class says what a draw is. The same from run to run for one `seed`.

    Raises LevgenError where none of `TRIES` draws runs; about half of them leave some fields as they are.
    """
    import hypothesis
    import torch
    from hypothesis import strategies

    base = port.SurveyedConfig.from_hf_config(tiny.config())
    refused: list[str] = []
    drawn: list[dict[str, Any]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=TRIES + _SIMPLE,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategies.data())
    def attempt(data: "DataObject") -> None:
        changes = Draw(architecture, base, data).changes()
        if drawn:
            return
        if len(refused) < _SIMPLE:
            refused.append("it is one of the simplest")
            return
        try:
            config = dataclasses.replace(base, **changes)
            fields = hf_fields(architecture, config)
            if port.SurveyedConfig.from_hf_config(tiny.config(**fields)) != config:
                refused.append(f"the reference's config takes other values than {changes}")
                return
            if _few_are_kept(architecture, config):
                refused.append(f"a token goes to more experts than the groups that are kept have: {changes}")
                return
            with torch.no_grad():
                tiny.build(dtype="float32", **fields)(token_ids(VOCAB, LENGTH))
        except Exception as error:  # whatever a reference refuses a config with
            refused.append(f"{type(error).__name__}: {error}")
        else:
            drawn.append(fields)

    attempt()
    if not drawn:
        raise LevgenError(f"none of {len(refused)} random configs runs: {refused[-1][:200]}")
    return drawn[0]


def _few_are_kept(architecture: Architecture, config: Any) -> bool:
    """Whether a token goes to more experts than there are in the groups that are kept: a reference takes any others."""
    if not architecture.moe.groups or config.num_expert_groups is None:
        return False
    kept = config.num_kept_groups * (config.num_experts // config.num_expert_groups)
    return bool(config.num_experts_per_tok > kept)


def hf_fields(architecture: Architecture, config: Any) -> dict[str, Any]:
    """The fields of the reference's config that `config`, of the generated class, is read from."""
    written = config.to_hf_config(VOCAB)
    read = {p.hf.partition(".")[0] for p in architecture.hyperparameters.values() if p.hf is not None}
    computed = (name.partition(".")[0] for name in architecture.derived)
    return {name: getattr(written, name) for name in (*sorted(read), *computed)}


class Draw:
    """One draw: new values for the hyperparameters that a field of the reference holds, all of them or some."""

    def __init__(self, architecture: Architecture, base: Any, data: "DataObject") -> None:
        self.architecture = architecture
        self.base = base
        self._data = data
        held = {name for name, parameter in architecture.hyperparameters.items() if parameter.hf is not None}
        for unknown in architecture.unknown.values():  # which sizes of theirs go together nobody knows
            held -= {*unknown.reads, *re.findall(r"\w+", " ".join(unknown.axes.values()))}
        whole = self._choice((False, True))
        self._free = {name for name in sorted(held) if whole or self._choice((True, False))}

    def _choice(self, among: Sequence[T]) -> T:
        from hypothesis import strategies

        return self._data.draw(strategies.sampled_from(among))

    def changes(self) -> dict[str, Any]:
        """Changes to `base`, sizes that fit together first."""
        drawn = self._sizes()
        for name in sorted(
            self._free - drawn.keys() - {"rope", "local_rope", "initializer_range", *_OF_LAYERS, *LISTS}
        ):
            drawn[name] = self._value(name, getattr(self.base, name))
        depth = drawn.get("num_layers", self.base.num_layers)
        drawn |= self._groups(drawn)
        drawn |= self._numbers_of_layers(depth)
        drawn |= self._by_layer(depth, windowless=drawn.get("sliding_window", 0) is None)
        return drawn | self._rotations(drawn)

    def _sizes(self) -> dict[str, Any]:
        a, choice = self.architecture, self._choice
        drawn: dict[str, Any] = {}
        if "num_layers" in self._free:
            drawn["num_layers"] = choice(_DEPTHS)
        if "num_heads" in self._free:
            even = a.attention.projections == "blocks" or a.attention.local_kv_multiple > 1
            drawn["num_heads"] = choice((4, 8) if even else (2, 3, 4, 6))
        if {"attention", "decoder_layer"} & set(a.unknown):
            drawn |= {"hidden_dim": choice(_WIDTHS)} if "hidden_dim" in self._free else {}
            return drawn | ({"intermediate_dim": choice(_WIDTHS) + 4} if "intermediate_dim" in self._free else {})
        heads = drawn.get("num_heads", self.base.num_heads)
        if a.attention.heads == "grouped" and ("num_kv_heads" in self._free or "num_heads" in drawn):
            of_keys = a.attention.local_kv_multiple  # times as many in layers with a window
            drawn["num_kv_heads"] = choice([n for n in range(1, heads + 1) if heads % (n * of_keys) == 0])
        if a.attention.head_dim == "derived":
            if {"hidden_dim", "num_heads"} & self._free:
                drawn["hidden_dim"] = heads * choice(_HEAD_DIMS)
        else:
            drawn |= {"head_dim": choice(self._head_dims())} if "head_dim" in self._free else {}
            drawn |= {"hidden_dim": choice(_WIDTHS)} if "hidden_dim" in self._free else {}
        if "intermediate_dim" in self._free:
            drawn["intermediate_dim"] = choice(_WIDTHS) + 4
        return drawn

    def _head_dims(self) -> list[int]:
        """Widths of a head of which the part that turns is made up of pairs, where that is a fraction."""
        held = [getattr(self.base, name) for name in ("rope", "local_rope") if hasattr(self.base, name)]
        fractions = [rotary.fraction for rotary in held if rotary.fraction is not None]
        turning = {dim: [int(dim * part) for part in fractions] for dim in _HEAD_DIMS}
        return [dim for dim in _HEAD_DIMS if all(n and n % 2 == 0 for n in turning[dim])] or list(_HEAD_DIMS)

    def _value(self, name: str, value: Any) -> Any:
        from levgen.scaffold.parts import load_part

        parameter, choice = self.architecture.hyperparameters[name], self._choice
        if name in ("activation", "head_activation"):
            spec = next(spec for spec in load_part("mlp").hyperparameters if spec.name == "activation")
            return choice(spec.choices)
        if name == "norm_eps":
            return choice(_EPSILONS)
        if name == "max_seq_len":
            return value if self.architecture.positions.kind == "rotary" else value + choice((0, 5, 16))
        if parameter.optional and choice((True, False)):
            return None
        if isinstance(value, bool):
            return choice((True, False))
        if isinstance(value, int):
            return choice((3, 7, 12, 30)) if name in ("sliding_window", "chunk_size") else value + choice((0, 2, 4))
        return choice(_FACTORS) if value is None else value * choice(_FACTORS)

    def _by_layer(self, depth: int, *, windowless: bool) -> dict[str, Any]:
        """Lists with an entry for each of `depth` layers; `windowless`: no layer may ask for a window."""
        drawn: dict[str, Any] = {}
        for name, first in LISTS.items():
            if name not in self.architecture.hyperparameters:
                continue
            default: Any = self.architecture.hyperparameters[name].default
            # One of thetas has that of the rotation, or none: a port refuses others.
            both = {self.base.rope.theta, 0.0} if name == "layer_thetas" else {*getattr(self.base, name), *default}
            known = sorted(both)
            entries = [self._choice(known) for _ in range(depth)]
            entries[0] = entries[0] if first is None else first
            drawn[name] = tuple(["full_attention"] * depth if windowless and name == "layer_types" else entries)
        if "attention_types" in self.architecture.hyperparameters:
            drawn["attention_types"] = ((tuple(self._choice(("global", "local")) for _ in range(depth)), 1),)
        return drawn

    def _groups(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Groups of experts where there may be none, which both of their numbers say then: they go together."""
        names = ("num_experts", "num_expert_groups", "num_kept_groups")
        parameter = self.architecture.hyperparameters.get(names[1])
        if parameter is None or not parameter.optional or not self._free & {*names}:
            return {}
        experts = drawn.get(names[0], self.base.num_experts)
        groups = self._choice((None, *(n for n in range(2, experts // 2 + 1) if experts % n == 0)))
        kept = None if groups is None else self._choice(range(1, groups + 1))
        return {"num_expert_groups": groups, "num_kept_groups": kept}

    def _numbers_of_layers(self, depth: int) -> dict[str, Any]:
        """Some of `depth` layers, by their numbers."""
        held = [name for name in ("dense_layers", "sparse_layers") if name in self._free]
        return {name: tuple(layer for layer in range(depth) if self._choice((False, True))) for name in held}

    def _rotations(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Rotations of any kind that the tests of a port try, for a config with `drawn`."""
        from levgen.runtime import Rotary
        from levgen.scaffold.names import model_name
        from levgen.scaffold.views.port import PortView

        rotations = {}
        config = dataclasses.replace(self.base, **drawn)
        sources = PortView(self.architecture, model_name("surveyed")).parity.ropes
        bound = {"rope"} if "layer_thetas" in drawn else set()
        for name in sorted({"rope", "local_rope"} & self._free - bound):
            held: Rotary = getattr(config, name)
            rotation: Rotary = eval(self._choice(sources), {"Rotary": Rotary, "TINY": config})
            fraction = held.fraction
            if rotation.kind == "default" and fraction is not None:
                latent = self.architecture.attention.heads == "latent"
                dim = (config.RopeHeadSize if latent else config.HeadSize).size
                even = [part for part in _FRACTIONS if int(part * dim) and int(part * dim) % 2 == 0]
                fraction = self._choice(even)
            rotations[name] = dataclasses.replace(rotation, theta=self._choice(_THETAS), fraction=fraction)
        return rotations
