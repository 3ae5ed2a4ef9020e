"""The findings about a model as plain values that can be compared between configs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from levgen.survey.config.indexer_measures import IndexerMeasures
from levgen.survey.config.latent_measures import LatentMeasures
from levgen.survey.config.norm_gate_measures import NormGateMeasures
from levgen.survey.mixture.measures import MIXTURE, MixtureMeasures

# In which layers with experts may differ from those without.
OF_CHANNELS = (*MIXTURE, "intermediate_dim", "mlp_bias", "mlp_kind", "mlp_projections", "mlp_transposed", "names")
# What holds for some layers only shows where these were examined.
_SOME = {
    "window": "windowed",
    "chunk": "windowed",
    "qk_norm": "normed",
    "qk_norm_weight": "normed",
    "query_scaling": "tempered",
    "layout": "rotating",
    "backwards": "rotating",
    "rotary_dim": "rotating",
    "position_kind": "rotating",
    "norm_after_rotation": "rotating",
    "growth_length": "unturned",
    "growth_exponent": "unturned",
    "local_kv_multiple": "told_apart",
    **{name: "sparse" for name in (*OF_CHANNELS, "mlp_inner_norm") if name != "sparse"},
}
# One value a layer, which layers may differ in.
BY_LAYER = (
    "windowed",
    "rotating",
    "rotary_scaling",
    "frequencies",
    "normed",
    "tempered",
    "missing_norm",
    "added_bias",
    "terms",
    "sunk",
    "sparse",
    "indexed",
    "mixer",
    "norm_gates",
)


@dataclass(frozen=True)
class Measures(LatentMeasures, IndexerMeasures, NormGateMeasures, MixtureMeasures):
    """What one config's model is. Fields of one value a layer are tuples; the others hold for every layer."""

    # sizes
    hidden_dim: int
    intermediate_dim: int | None  # None where every layer has experts
    num_layers: int
    num_heads: int
    num_kv_heads: int  # of layers without a window, where there are any
    local_kv_multiple: float | None  # how many times as many those with one have; None where all are alike in that
    head_dim: int
    position_rows: int | None
    window: int | None
    chunk: int | None
    rotary_dim: int
    # factors
    norm_eps: float
    embedding_scale: float
    attention_scale: float
    value_scale: float
    attention_softcap: float | None
    attention_clip: float | None
    residual_scale: float
    logit_scale: float
    logit_softcap: float | None
    # switches
    attention_bias: bool
    output_bias: bool
    mlp_bias: bool
    head_bias: bool
    tied: bool
    # kinds
    activation: tuple[str, ...]
    norm_kind: str
    norm_weight: bool
    norm_offset: bool
    norm_bias: bool
    position_kind: str
    position_offset: int
    position_table: str | None
    layout: str | None
    backwards: bool
    query_scaling: tuple[float, ...] | None
    growth_length: float | None
    growth_exponent: float | None
    projections: str
    attention_transposed: bool
    qk_norm: str
    qk_norm_weight: bool
    norm_after_rotation: bool
    attention_inner_norm: bool
    sinks: bool
    attention_gate: str
    gate_per: str
    gate_bias: bool
    mlp_kind: str
    mlp_projections: str
    mlp_transposed: bool
    mlp_inner_norm: bool
    layer_norms: str
    has_mlp: bool  # an MLP or experts
    parallel: str
    embedding_norm: bool
    final_norm: bool
    head_transform: bool
    transform_bias: bool
    transform_activation: tuple[str, ...]
    transform_norm: bool
    # by layer
    windowed: tuple[bool, ...]  # whether a query sees a part of the keys, by a window or by chunks
    rotating: tuple[bool, ...]
    normed: tuple[bool, ...]  # whether queries and keys have norms
    tempered: tuple[bool, ...]  # whether queries grow with their position
    frequencies: tuple[tuple[float, ...], ...]
    rotary_scaling: tuple[float, ...]
    missing_norm: tuple[str | None, ...]  # the role of a norm that a layer hasn't got, and others have
    added_bias: tuple[bool, ...]
    sunk: tuple[bool, ...]  # which have sinks
    indexed: tuple[bool | None, ...]  # which choose keys; False: that see what was chosen before, None: all keys
    terms: tuple[int | None, ...]  # of how many what a layer is given is made up, where sums are averaged
    mixer: tuple[bool, ...]  # something unknown stands in the place of attention
    # weights
    names: Mapping[str, Mapping[str, str | None]]

    @property
    def latent(self) -> bool:
        """Whether keys and values are made from a vector of low rank."""
        return self.kv_lora_rank is not None

    @property
    def unturned(self) -> tuple[bool, ...]:
        """Of each layer that was examined, whether nothing rotates in it."""
        return tuple(not rotates for rotates in self.rotating)

    @property
    def told_apart(self) -> tuple[bool, ...]:
        """Whether layers with a window and without were examined, as if it were a value of one layer."""
        return (len(set(self.windowed)) > 1,)

    @property
    def has_qk_norm(self) -> bool:
        """Whether queries and keys have norms in some layer."""
        return any(self.normed)

    @property
    def has_temperature(self) -> bool:
        """Whether queries grow with their position in some layer."""
        return any(self.tempered)

    @property
    def turning_width(self) -> int:
        """The width of what rotates of a head, of which a part may pass."""
        return self.head_dim if self.qk_rope_head_dim is None else self.qk_rope_head_dim

    @property
    def joint_width(self) -> int | None:
        """Of gate and up together, where there are both."""
        if self.mlp_kind != "gated" or self.intermediate_dim is None:
            return None
        return 2 * self.intermediate_dim

    @property
    def mlp_multiple(self) -> float | None:
        """The MLP's width over the model's."""
        return None if self.intermediate_dim is None else self.intermediate_dim / self.hidden_dim

    @property
    def uneven(self) -> bool:
        """Whether some layers hold what others don't."""
        return len(set(self.missing_norm)) > 1 or len(set(self.added_bias)) > 1

    def differing(self, other: "Measures") -> list[str]:
        """The measures in which two models differ; those by layer as far as both were examined."""
        found = []
        for name in self.__dataclass_fields__:
            a, b = getattr(self, name), getattr(other, name)
            if name == "names":  # what a layer hasn't got has no name in it
                a, b = shared_names(a, b), shared_names(b, a)
            if name in BY_LAYER:
                n = min(len(a), len(b))
                a, b = a[:n], b[:n]
            partly = name in _SOME and len(self.windowed) != len(other.windowed)
            if partly and not all(any(getattr(m, _SOME[name])) for m in (self, other)):
                continue
            if not alike(a, b):
                found.append(name)
        return found


def shared_names(names: Mapping[str, Mapping[str, Any]], others: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`names` of the roles that `others` have too."""
    return {part: {r: n for r, n in own.items() if r in others[part]} for part, own in names.items() if part in others}


def alike(a: Any, b: Any, tolerance: float = 1e-5) -> bool:
    """Equal, numbers to a relative `tolerance`."""
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) <= tolerance * max(abs(a), abs(b)) + 1e-12
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(alike(x, y, tolerance) for x, y in zip(a, b, strict=True))
    return bool(a == b)
