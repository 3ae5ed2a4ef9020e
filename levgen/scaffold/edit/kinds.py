"""The kinds of module that can be added to a model: how a user names them, and the part and answers behind each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from levgen.errors import LevgenError, did_you_mean
from levgen.scaffold.parts import class_name, load_part


@dataclass(frozen=True)
class Kind:
    """A kind of module.

    `part` is its folder of `templates/parts`, `groups` are the groups of answers that its class is written from; the
    first of them is its own. `usual` is the variant where none is asked for. `beside` is what the class is called
    beside one of that part that is there.
    """

    name: str
    part: str
    groups: tuple[str, ...]
    usual: str | None = None
    beside: str = ""

    def settings(self, variant: str | None, settings: Sequence[str]) -> list[str]:
        """The answers of `variant` and then `settings`, as NAME=VALUE.

        Raises LevgenError for an unknown variant, and for an answer that has nothing to do with this kind.
        """
        for setting in settings:
            group, dot, _ = setting.partition("=")[0].strip().partition(".")
            if dot and group in _GROUPS and group not in self.groups:
                raise LevgenError(
                    f"--set {setting}: no {self.name} is written from {group}",
                    f"its answers are those of {', '.join(self.groups)}",
                )
        return [*self._of_variant(variant), *settings]

    def class_name(self, model: str, stubs: Sequence[str]) -> str:
        """The name of the new class in the file of `model`: the part's own where that is a stub to be filled."""
        standard = class_name(self.part, model)
        return standard if self.part in stubs else f"{model}{self.beside}{standard.removeprefix(model)}"

    def _of_variant(self, variant: str | None) -> list[str]:
        variant = self.usual if variant is None else variant
        if variant is None:
            return []
        variants = load_part(self.part).kinds
        if variant not in variants:
            near = did_you_mean(variant, variants)
            raise LevgenError(
                f"--kind {variant}: there is no such {self.name}", near or f"known: {', '.join(variants)}"
            )
        return [f"{self.groups[0]}.{answer}={value}" for answer, value in variants[variant].items()]


_KINDS = (
    Kind("attention", "attention", ("attention", "positions", "norm", "initialization")),
    Kind("indexer", "indexer", ("attention", "positions", "initialization"), usual="sparse"),
    Kind("mlp", "mlp", ("mlp", "initialization")),
    Kind("moe", "moe", ("moe", "mlp", "initialization"), usual="softmax"),
    Kind("norm", "norm", ("norm",)),
    Kind("gated-norm", "gated_norm", ("norm_gate", "norm", "initialization"), usual="silu"),
    Kind("decoder-layer", "decoder_layer", ("layer", "norm", "positions")),
    Kind("transformer", "transformer", ("head", "norm", "positions")),
    Kind("embeddings", "embeddings", ("embeddings", "norm", "positions", "initialization")),
    Kind("head-transform", "head_transform", ("head_transform", "norm", "initialization"), usual="normed"),
    Kind("lm-head", "lm_head", ("head", "initialization")),
)
KINDS = {kind.name: kind for kind in _KINDS}
# Variants that go by names of their own.
_VARIANTS = {"mla": replace(KINDS["attention"], usual="latent", beside="Latent")}
_GROUPS = {group for kind in _KINDS for group in kind.groups}


def find_kind(text: str) -> Kind:
    """The kind called `text`. Raises LevgenError with the nearest names where there is none."""
    known = KINDS | _VARIANTS
    kind = known.get(text.replace("_", "-"))
    if kind is None:
        raise LevgenError(
            f"there is no module of the kind {text!r}", did_you_mean(text, known) or f"known: {', '.join(known)}"
        )
    return kind
