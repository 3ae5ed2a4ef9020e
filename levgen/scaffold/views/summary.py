"""A model in a few words, for the first line of its file."""

from levgen.architecture.schema import Architecture


def summary(architecture: Architecture) -> str:
    """`a decoder with rotary positions, grouped-query attention and a gated MLP`"""
    a = architecture
    if a.stubs:
        return "a decoder whose parts are still to be written"
    if "decoder_layer" in a.unknown:
        return "a decoder whose layers are unknown"
    positions = {
        "rotary": "rotary positions",
        "learned": "learned positions",
        "sinusoidal": "sinusoidal positions",
        "alibi": "ALiBi positions",
        "none": "no position encoding",
    }
    attention = {
        "grouped": "grouped-query attention",
        "multi": "multi-head attention",
        "single": "multi-query attention",
        "latent": "latent attention",
    }
    mlp = {"gated": "a gated MLP", "plain": "a plain MLP"}[a.mlp.kind] if a.moe.layers == "none" else "experts"
    said = [positions[a.positions.kind], attention[a.attention.heads], mlp]
    if "attention" in a.unknown:
        said[:2] = ["an attention that is unknown"]
    if "mixer" in a.unknown:
        said[-2] += " or an unknown mixer"
    if "mlp" in a.unknown:
        said[-1] = "an MLP that is unknown"
    elif "activation" in a.unknown:
        said[-1] += " whose activation is unknown"
    if not a.layer.mlp:
        said[-1] = "no MLP"
    return f"a decoder with {', '.join(said[:-1])} and {said[-1]}"
