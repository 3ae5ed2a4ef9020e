"""The measures of a whole model, from those of its layers: what they have in common, and in what they may differ."""

from dataclasses import replace

from levgen.survey.config.indexer_measures import INDEXED
from levgen.survey.config.latent_measures import LATENT
from levgen.survey.config.layer_measures import measure_layer
from levgen.survey.config.measures import BY_LAYER, OF_CHANNELS, Measures, alike, shared_names
from levgen.survey.config.norm_gate_measures import NORM_GATES
from levgen.survey.evidence import UnresolvedError
from levgen.survey.mixture.measures import MIXTURE, dense_layers
from levgen.survey.structure import Structure

# In which layers with a window may differ from those without.
_OF_WINDOWS = ("num_kv_heads", "sinks")
# What is of attention alone.
_OF_ATTENTION = (
    *LATENT,
    *INDEXED,
    "num_heads",
    "num_kv_heads",
    "local_kv_multiple",
    "head_dim",
    "window",
    "chunk",
    "rotary_dim",
    "attention_scale",
    "value_scale",
    "attention_softcap",
    "attention_clip",
    "attention_bias",
    "output_bias",
    "position_kind",
    "layout",
    "backwards",
    "query_scaling",
    "growth_length",
    "growth_exponent",
    "projections",
    "attention_transposed",
    "qk_norm",
    "qk_norm_weight",
    "norm_after_rotation",
    "attention_inner_norm",
    "sinks",
    "attention_gate",
    "gate_per",
    "gate_bias",
    "windowed",
    "rotating",
    "normed",
    "tempered",
    "frequencies",
    "rotary_scaling",
    "sunk",
)


def measure(structure: Structure) -> Measures:
    """The measures of a model.

    Raises UnresolvedError where layers differ in more than window and rotation, and what some of them haven't got.
    """
    layers = _as_with_attention([measure_layer(structure, layer) for layer in structure.layers])
    layers = _as_with_indexer(layers)
    first = layers[0]
    allowed = {
        *BY_LAYER,
        "window",
        "chunk",
        "qk_norm",
        "qk_norm_weight",
        "query_scaling",
        "layout",
        "backwards",
        "rotary_dim",
        "position_kind",
        "norm_after_rotation",  # nothing tells where nothing rotates
        *NORM_GATES,
    }
    still = [layer for layer in layers if layer.unturned[0]]
    grown = {(layer.growth_length, layer.growth_exponent) for layer in still} or {(None, None)}
    if len(grown) == 1:  # else those that don't rotate differ
        allowed |= {"growth_length", "growth_exponent"}
    kinds = {sparse: next((m for m in layers if m.sparse[0] is sparse), None) for sparse in (False, True)}
    windows_kinds = {has: next((m for m in layers if m.windowed[0] is has), None) for has in (False, True)}
    for index, layer in enumerate(layers):
        alike_in_kind, alike_in_window = kinds[layer.sparse[0]], windows_kinds[layer.windowed[0]]
        assert alike_in_kind is not None
        assert alike_in_window is not None
        unlike = {name: alike_in_kind for name in alike_in_kind.differing(layer) if name not in _OF_WINDOWS}
        unlike |= {name: first for name in first.differing(layer) if name not in {*OF_CHANNELS, *_OF_WINDOWS, *unlike}}
        unlike |= {name: alike_in_window for name in alike_in_window.differing(layer) if name in _OF_WINDOWS}
        said = [
            f"{name}: {getattr(other, name)} in layer {layers.index(other)}, {getattr(layer, name)} in layer {index}"
            for name, other in unlike.items()
            if name not in allowed
        ]
        if said:
            raise UnresolvedError("layers that differ", "; ".join(said), structure.chain.layers[index].module)
    windows = {(layer.window, layer.chunk) for layer in layers if layer.windowed[0]}
    norms = {(layer.qk_norm, layer.qk_norm_weight) for layer in layers if layer.normed[0]}
    scalings = [layer.query_scaling for layer in layers if layer.tempered[0]]
    layouts = {(layer.layout, layer.norm_after_rotation) for layer in layers if layer.layout is not None}
    gates = {(layer.norm_gate_rank, layer.norm_gate_activation) for layer in layers if any(layer.norm_gates)}
    alike_scalings = all(alike(scaling, scalings[0], 1e-4) for scaling in scalings)
    if len(windows) > 1 or len(layouts) > 1 or len(norms) > 1 or len(gates) > 1 or not alike_scalings:
        raise UnresolvedError(
            "layers that differ",
            f"windows and chunks {sorted(windows, key=str)}, layouts, norms after: {sorted(layouts)}, "
            f"norms of queries and keys {sorted(norms)}, gates on norms {sorted(gates)}"
            + ("" if alike_scalings else ", and queries that grow in different ways"),
        )
    first = _with_both(kinds[False], kinds[True])
    whole, local = windows_kinds[False], windows_kinds[True]
    multiple = None if whole is None or local is None else local.num_kv_heads / whole.num_kv_heads
    turning = next((layer for layer in layers if layer.layout is not None), first)
    (growth,) = grown
    return replace(
        first,
        window=next(iter(windows), (None, None))[0],
        chunk=next(iter(windows), (None, None))[1],
        qk_norm=next(iter(norms), ("none", True))[0],
        qk_norm_weight=next(iter(norms), ("none", True))[1],
        query_scaling=next(iter(scalings), None),
        layout=turning.layout,
        backwards=turning.backwards,
        rotary_dim=turning.rotary_dim,
        norm_after_rotation=turning.norm_after_rotation,
        position_kind=turning.position_kind,
        num_kv_heads=(whole or first).num_kv_heads,
        local_kv_multiple=multiple,
        sinks=any(layer.sinks for layer in layers),
        sunk=tuple(layer.sunk[0] for layer in layers),
        indexed=tuple(layer.indexed[0] for layer in layers),
        growth_length=growth[0],
        growth_exponent=growth[1],
        sparse=tuple(layer.sparse[0] for layer in layers),
        num_dense_layers=dense_layers([layer.sparse[0] for layer in layers]),
        windowed=tuple(layer.windowed[0] for layer in layers),
        rotating=tuple(layer.rotating[0] for layer in layers),
        normed=tuple(layer.normed[0] for layer in layers),
        tempered=tuple(layer.tempered[0] for layer in layers),
        frequencies=tuple(layer.frequencies[0] for layer in layers),
        rotary_scaling=tuple(layer.rotary_scaling[0] for layer in layers),
        missing_norm=tuple(layer.missing_norm[0] for layer in layers),
        added_bias=tuple(layer.added_bias[0] for layer in layers),
        terms=tuple(layer.terms[0] for layer in layers),
        mixer=tuple(layer.mixer[0] for layer in layers),
        norm_gate_rank=next(iter(gates), (None, ()))[0],
        norm_gate_activation=next(iter(gates), (None, ()))[1],
        norm_gates=tuple(layer.norm_gates[0] for layer in layers),
        names=_all_names(layers),
    )


def _as_with_attention(layers: list[Measures]) -> list[Measures]:
    """`layers`, those without attention with what was measured of it in another: nothing is known of theirs."""
    if not any(layer.mixer[0] for layer in layers):
        return layers
    other = next((layer for layer in layers if not layer.mixer[0]), None)
    if other is None:
        raise UnresolvedError("layers with attention", "no layer has any: in all of them something else stands there")
    held = {name: getattr(other, name) for name in _OF_ATTENTION}
    return [replace(layer, **held, names=_with_names_of(layer, other)) if layer.mixer[0] else layer for layer in layers]


def _as_with_indexer(layers: list[Measures]) -> list[Measures]:
    """`layers`, those that see what an earlier one chose with what was measured of its indexer."""
    made: list[Measures] = []
    for index, layer in enumerate(layers):
        if layer.indexed[0] is False:
            chooser = next(other for other in reversed(layers[:index]) if other.indexed[0])
            layer = replace(layer, **{name: getattr(chooser, name) for name in INDEXED})
        made.append(layer)
    return made


def _with_names_of(layer: Measures, other: Measures) -> dict[str, dict[str, str | None]]:
    """The names in a layer without attention, with those of the attention in another."""
    own = layer.names["decoder_layer"]
    roles = {**own, "attention": other.names["decoder_layer"]["attention"], "mixer": own["attention"]}
    return {**layer.names, "decoder_layer": roles, "attention": other.names["attention"]}  # type: ignore[dict-item]


def _with_both(dense: Measures | None, sparse: Measures | None) -> Measures:
    """The measures of a layer without experts, with those of the experts of another."""
    if dense is None or sparse is None:
        found = dense or sparse
        assert found is not None
        return found
    dense_names, sparse_names = (shared_names(a.names, b.names) for a, b in ((dense, sparse), (sparse, dense)))
    if dense_names["decoder_layer"] != sparse_names["decoder_layer"]:
        observed = f"{dense.names['decoder_layer']} without experts, {sparse.names['decoder_layer']} with"
        raise UnresolvedError("names in layers with experts", observed)
    return replace(dense, **{name: getattr(sparse, name) for name in MIXTURE})


def _all_names(layers: list[Measures]) -> dict[str, dict[str, str | None]]:
    """The names of all roles that any layer has."""
    names: dict[str, dict[str, str | None]] = {}
    for layer in layers:
        for part, own in layer.names.items():
            names.setdefault(part, {}).update(own)
    return names
