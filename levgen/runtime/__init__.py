"""What a generated model imports: everything between its own file and jax, haliax and transformers."""

from levgen.environment import check_haliax

# Before anything imports haliax: from the dead package of that name it would fail oddly.
check_haliax()

from levgen.runtime.activations import activation
from levgen.runtime.attention import dot_product_attention
from levgen.runtime.checkpoints.load import load_hf
from levgen.runtime.checkpoints.save import save_hf
from levgen.runtime.config import LmConfig
from levgen.runtime.experts import Experts
from levgen.runtime.hf_config.fields import HfField, HfFields
from levgen.runtime.latent_attention import latent_attention
from levgen.runtime.layers import averaged, by_layer, kinds_of_layers
from levgen.runtime.loss import next_token_loss
from levgen.runtime.mask import AttentionMask
from levgen.runtime.model import LmExample, LmHeadModel
from levgen.runtime.norms import LayerNorm, RmsNorm
from levgen.runtime.positions import AlibiBias, alibi_slopes, grown_queries, sinusoidal_table, tempered_queries
from levgen.runtime.projections import Embedding, Linear, join_axis, split_axis
from levgen.runtime.rotary import Rotary
from levgen.runtime.routing import load_balancing_loss, note_routing, router_z_loss, top_experts, with_routing
from levgen.runtime.runs import Runs
from levgen.runtime.sparse_indexer import (
    chosen_keys,
    indexers_by_layer,
    no_chosen_keys,
    turned_first,
    with_chosen_keys,
)
from levgen.runtime.sparse_mixer import sparse_mixer
from levgen.runtime.xielu import XIelu

__all__ = [
    "AlibiBias",
    "AttentionMask",
    "Embedding",
    "Experts",
    "HfField",
    "HfFields",
    "LayerNorm",
    "Linear",
    "LmConfig",
    "LmExample",
    "LmHeadModel",
    "RmsNorm",
    "Rotary",
    "Runs",
    "XIelu",
    "activation",
    "alibi_slopes",
    "averaged",
    "by_layer",
    "chosen_keys",
    "dot_product_attention",
    "grown_queries",
    "indexers_by_layer",
    "join_axis",
    "kinds_of_layers",
    "latent_attention",
    "load_balancing_loss",
    "load_hf",
    "next_token_loss",
    "no_chosen_keys",
    "note_routing",
    "router_z_loss",
    "save_hf",
    "sinusoidal_table",
    "sparse_mixer",
    "split_axis",
    "tempered_queries",
    "top_experts",
    "turned_first",
    "with_chosen_keys",
    "with_routing",
]
