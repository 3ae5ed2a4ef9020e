"""What the templates of a model's tests read: other configs to compare with, and where the reference is listened to."""

import posixpath
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from levgen.scaffold.views.port import PortView


def renamed_steps(name: str, renamed: Mapping[str, str]) -> str:
    """The name of a module of transformers, from its `name` in checkpoints."""
    steps = f".{name}."
    for theirs, in_memory in renamed.items():
        steps = steps.replace(f".{theirs}.", f".{in_memory}.")
    return steps.strip(".")


# Hyperparameters with one entry for each layer -> what the first layer's has to be, or None where it may be any.
LISTS: Mapping[str, str | None] = {
    "mlp_layer_types": None,
    "layer_types": None,
    "rope_layers": None,
    "layer_thetas": None,
    "mixer_types": None,
    "indexer_types": "full",  # before the first layer nothing was chosen that it could share
}


class ParityView:
    """The comparison of a port with its reference. `TINY` is the config that the tests use."""

    def __init__(self, port: "PortView") -> None:
        self._port = port
        self._own = port.architecture.hyperparameters

    @cached_property
    def variations(self) -> list[str]:
        """Other configs to compare with the reference: Python source of changes to `TINY`."""
        answers, own = self._port.architecture.attention, self._own
        changes: list[str]
        if {"attention", "decoder_layer"} & set(self._port.unknown):
            changes = []
        elif answers.heads == "latent":
            changes = ['{"num_heads": 1}', '{"num_heads": 2, "qk_rope_head_dim": 12, "v_head_dim": 18}']
        elif answers.heads == "grouped":
            most = "TINY.num_heads" + ("" if answers.local_kv_multiple == 1 else f" // {answers.local_kv_multiple}")
            changes = ['{"num_kv_heads": 1}', f'{{"num_kv_heads": {most}}}']
        elif answers.projections == "blocks":
            changes = ['{"num_heads": 8}']
        else:
            changes = ['{"num_heads": 1}', '{"num_heads": 2}']
        if answers.indexer != "none" and "attention" not in self._port.unknown:
            changes.append('{"index_topk": 12, "index_head_dim": TINY.qk_rope_head_dim}')
        if self._port.architecture.moe.layers != "none":
            chosen = ', "num_experts_per_tok": 1' if "num_experts_per_tok" in own else ""
            changes.append(f'{{"num_experts": 9{chosen}}}')
        if self._port.architecture.moe.shared_optional:
            changes.append('{"shared_expert_dim": 0}')
        if "load_balancing" in own:
            changes.append('{"load_balancing": not TINY.load_balancing}')
        if self._port.architecture.moe.groups:
            changes.append('{"num_expert_groups": 1, "num_kept_groups": 1}')
        changes += [
            f'{{"{name}": not TINY.{name}}}'
            for name in ("tie_word_embeddings", *self._port.switches)
            if name in own and own[name].hf is not None
        ]
        # Without a window no layer may ask for one.
        whole = {
            "sliding_window": ', "layer_types": ("full_attention",) * TINY.num_layers' if "layer_types" in own else "",
            "num_expert_groups": ', "num_kept_groups": None',
        }
        optional = [name for name in own if self._port.optional(name) and name != "num_kept_groups"]
        changes += [f'{{"{name}": None{whole.get(name, "")}}}' for name in optional]
        # What a stub reads keeps its size: whether others go together nobody knows.
        inside = {name for unknown in self._port.architecture.unknown.values() for name in unknown.reads}
        if "head_dim" in own and "head_dim" not in {*self._port.architecture.derived, *inside}:
            changes.append('{"head_dim": 12}')
        moe = self._port.architecture.moe
        if moe.layers == "stepped":
            changes.append('{"sparse_step": 1, "dense_layers": (1,)}')
        # A reference may ask of routers what they did, and fail where no layer has one.
        # One may want layers of both kinds.
        both = (moe.balance and moe.mixed) or self._port.architecture.layer.mixer != "none"
        shallow = self._shallow(2 if both else 1)
        shallow |= {"norm_eps": "1e-6"} if "norm_eps" in own else {}
        shallow |= {"activation": '"relu"'} if "activation" in own else {}
        items = ", ".join(f'"{name}": {value}' for name, value in shallow.items())
        return [*changes, f"{{{items}}}"]

    def _shallow(self, layers: int) -> dict[str, str]:
        """The changes to `TINY` that leave so many layers."""
        lists = {name: f"TINY.{name}[:{layers}]" for name in LISTS if name in self._own}
        if "attention_types" in self._own:
            lists["attention_types"] = f'((("local",), {layers}),)'
        return {"num_layers": str(layers), **lists}

    @cached_property
    def shallow_arguments(self) -> str:
        """Keyword arguments that leave two layers of `TINY`."""
        return ", ".join(f"{name}={value}" for name, value in self._shallow(2).items())

    @cached_property
    def ropes(self) -> list[str]:
        """Python source of a rotation of each kind that the reference takes."""
        pairs = f"range({self.rotary_pairs})"
        scaling = ", query_scaling=0.3" if self._port.architecture.positions.query_scaling else ""
        sources = {
            "default": "Rotary(theta=500.0)",
            "linear": 'Rotary(theta=500.0, kind="linear", factor=4.0)',
            "dynamic": 'Rotary(theta=500.0, kind="dynamic", factor=2.0, max_position_embeddings=TINY.max_seq_len)',
            "yarn": f'Rotary(theta=500.0, kind="yarn", factor=4.0, original_max_position_embeddings=160{scaling})',
            "llama3": 'Rotary(theta=500.0, kind="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, '
            "original_max_position_embeddings=80)",
            "longrope": 'Rotary(theta=500.0, kind="longrope", factor=4.0, original_max_position_embeddings=160, '
            f"short_factor=tuple(1 + i / 8 for i in {pairs}), long_factor=tuple(2 + i / 2 for i in {pairs}))",
        }
        if self._latent:  # which alone reads all of yarn's parameters
            sources["yarn"] = f"{sources['yarn'].removesuffix(')')}, mscale=0.7, mscale_all_dim=1.3)"
        reference = self._port.architecture.reference
        return [source for kind, source in sources.items() if reference is None or kind in reference.rope_kinds]

    @cached_property
    def initialization_is_known(self) -> bool:
        """Whether the reference says how its weights are drawn: by a number, or a field of its config."""
        std = self._port.architecture.initialization.std
        return not isinstance(std, str) or self._own[std.partition("**")[0]].hf is not None

    @cached_property
    def partial(self) -> bool:
        """Whether `rope` may turn a part of a head's dimensions only."""
        return "fraction" in (self._port.default("rope") or {})

    @cached_property
    def rotary_pairs(self) -> str:
        """Python source of the number of pairs of dimensions that turn in tests."""
        size = "RopeHeadSize.size" if self._latent else "HeadSize.size"
        return f"int(TINY.{size} * TINY.rope.fraction) // 2" if self.partial else f"TINY.{size} // 2"

    @property
    def _latent(self) -> bool:
        return self._port.architecture.attention.heads == "latent"

    def path(self, part: Literal["attention", "mlp", "shared"], end: Literal["in", "out"], layer: int) -> str:
        """The reference's module in a layer where hidden states enter `part`, or the one where they leave it.

        `shared`: the MLP beside experts.
        """
        if part in self._port.unknown:
            return self._port.unknown[part].path.format(layer)
        above = self._port.weight("decoder_layer", part)
        names = [self._port.weight("transformer", "layers"), str(layer), above]
        if above is None and part == "mlp" and self._port.architecture.moe.layers != "none":
            return self._around_experts(names[:2])
        if part != "mlp" or self._port.architecture.moe.layers == "none":
            view = self._port.attention if part == "attention" else self._port.mlp
            always = [projection for projection in view.projections if projection.when is None]
            entry = always[-1] if end == "out" else next(one for one in always if one.inputs == "config.Embed")
            names.append(self._port.weight("attention" if part == "attention" else "mlp", entry.role))
        return renamed_steps(".".join(name for name in names if name), self._port.architecture.renamed)

    def _around_experts(self, layer: list[str | None]) -> str:
        """The module that holds a mixture of experts in memory, where files don't name one in a layer."""
        roles = ("router", "experts", *(("shared",) if self._port.moe.shared is not None else ()))
        files = [".".join(name for name in (*layer, self._port.weight("moe", role)) if name) for role in roles]
        held = [renamed_steps(name, self._port.architecture.renamed).replace(".", "/") for name in files]
        return posixpath.commonpath(held).replace("/", ".")

    @cached_property
    def norm_in_mlp(self) -> str | None:
        """The norm after the experts of layer 1, where it is the layer's in a port, and the MLP's in the reference."""
        if self._port.architecture.layer.mlp_output_norm == "none":
            return None
        names = [self._port.weight("transformer", "layers"), "1", self._port.weight("decoder_layer", "mlp_output_norm")]
        path = renamed_steps(".".join(name for name in names if name), self._port.architecture.renamed)
        return path if path.startswith(f"{self.path('mlp', 'out', 1)}.") else None

    @cached_property
    def long_length(self) -> str:
        """How many positions make a long sequence, as Python source: past 512, and no more than the model takes."""
        limit = self._own["max_seq_len"]
        return "640" if self._port.architecture.reference and limit.hf is None else "TINY.max_seq_len"
