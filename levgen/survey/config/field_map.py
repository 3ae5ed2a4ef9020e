"""What a survey knows of a config class's fields: which answer each drives, and with what evidence."""

from dataclasses import dataclass, field
from typing import Any

from levgen.survey.evidence import Evidence, Unknown

# Our names of sizes that a factor may hold a power of, beside a field or alone.
ALONE = (("head_dim", -0.5), ("hidden_dim", 0.5), ("head_dim", 0.5))
BESIDE = (("hidden_dim", -1.0), ("hidden_dim", -0.5), ("num_layers", -0.5), ("num_layers", -1.0))


@dataclass
class FieldMap:
    """`sizes` and `switches`: our name -> HF field. `factors`: measure -> a factor as a card writes it."""

    sizes: dict[str, str] = field(default_factory=dict)
    unset: dict[str, str] = field(default_factory=dict)  # HF field -> what its None means
    factors: dict[str, Any] = field(default_factory=dict)
    switches: dict[str, str] = field(default_factory=dict)  # measure -> HF field
    activation: str | None = None
    transform_activation: str | None = None
    rope: str | None = None
    local_rope: str | None = None
    joint_width: bool = False  # the field of the MLP's width counts gate and up together
    extra_rows: int = 0  # of the token embedding, after those of the vocabulary
    never_tied: bool = False  # the head is a matrix of its own, and no field says so
    lists: dict[str, str] = field(default_factory=dict)  # role of a list by layer -> HF field
    in_layers: dict[str, str] = field(default_factory=dict)  # answer about a layer -> in which layers that is
    initializer: str | None = None
    embedding_initializer: str | None = None
    cutoff: str | None = None  # of fresh weights
    fixed: dict[str, Any] = field(default_factory=dict)
    derived: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)

    def mapped(self) -> set[str]:
        """The HF fields that an answer is read from, and those that hold what it is read from."""
        single = (
            self.activation,
            self.transform_activation,
            self.rope,
            self.local_rope,
            self.initializer,
            self.embedding_initializer,
            self.cutoff,
        )
        names = {
            *self.sizes.values(),
            *self.switches.values(),
            *self.lists.values(),
            *(name for name in single if name),
        }
        factors = {hf for factor in self.factors.values() if (hf := field_of(factor)) is not None}
        return {name.partition(".")[0] for name in names} | names | factors


def field_of(factor: Any) -> str | None:
    """The HF field that a factor as a card writes it is read from; None for a number, or a size's power alone."""
    if not isinstance(factor, str):
        return None
    sizes = {size for size, _ in (*ALONE, *BESIDE)}
    return next((name for power in factor.split(" * ") if (name := power.partition("**")[0]) not in sizes), None)


def sizes_in(factor: Any) -> set[str]:
    """Our names of the sizes that a factor as a card writes it holds a power of."""
    names = {power.partition("**")[0] for power in factor.split(" * ")} if isinstance(factor, str) else set()
    return names - {field_of(factor)}


def is_identifier(name: str) -> bool:
    return all(part.isidentifier() and part == part.lower() and not part.startswith("_") for part in name.split("."))
