"""What the template of embeddings reads: of tokens, of positions, and a norm after them."""

from functools import cached_property
from typing import TYPE_CHECKING

from levgen.architecture.schema import Embeddings
from levgen.scaffold.views.fields import below, common_prefix, usable

if TYPE_CHECKING:
    from levgen.scaffold.views.port import PortView


class EmbeddingsView:
    """The embeddings of a port. `own_class`: they have a class even where they are a look-up and nothing else."""

    def __init__(self, port: "PortView", *, own_class: bool) -> None:
        self._port = port
        self._architecture = port.architecture
        self._own_class = own_class

    @cached_property
    def in_checkpoint(self) -> dict[str, str]:
        """Role -> name in the checkpoint of what makes up the embeddings."""
        roles = {"token": True, "position": self.learned_positions, "norm": self._architecture.embeddings.norm}
        return {role: self._port.weight("embeddings", role) or "" for role, present in roles.items() if present}

    @cached_property
    def learned_positions(self) -> bool:
        return self._architecture.positions.kind == "learned"

    @cached_property
    def adds_positions(self) -> bool:
        """Whether positions are added to the token embeddings."""
        return self._architecture.positions.kind in ("learned", "sinusoidal")

    @cached_property
    def class_name(self) -> str:
        return "Embedding" if self.plain else f"{self._port.Name}Embeddings"

    @cached_property
    def plain(self) -> bool:
        """Whether the embedding is a look-up and nothing else, so that it needs no class of its own."""
        if self._own_class or "embeddings" in self._architecture.stubs:
            return False
        return (
            len(self.in_checkpoint) == 1
            and self._architecture.embeddings.changed(extra_rows=0) == Embeddings()
            and not self.adds_positions
        )

    @cached_property
    def prefix(self) -> str | None:
        """The common prefix of the embeddings' names in the checkpoint."""
        if self.plain:
            return self.in_checkpoint["token"]
        return common_prefix(list(self.in_checkpoint.values()))

    @cached_property
    def fields(self) -> dict[str, str]:
        """Role -> field of the class that holds the embeddings."""
        named = {role: below(path, self.prefix) for role, path in self.in_checkpoint.items()}
        return {role: path if usable(path) else role for role, path in named.items()}

    @cached_property
    def field_map(self) -> dict[str, str]:
        """Field -> name below the prefix, where they differ."""
        named = {role: below(path, self.prefix) for role, path in self.in_checkpoint.items()}
        return {ours: named[role] for role, ours in self.fields.items() if ours != named[role]}

    @cached_property
    def need_config(self) -> bool:
        return isinstance(self._architecture.embeddings.scale, str) or self._architecture.positions.kind == "sinusoidal"

    @cached_property
    def tokens_axis(self) -> str:
        """The axis of the token embedding, over `Vocab`: another one where it has more rows than the head."""
        extra = self._architecture.embeddings.extra_rows
        return f'Axis("token", Vocab.size + {extra})' if extra else "Vocab"

    @cached_property
    def position_table(self) -> str:
        """The axis of a learned table of positions, over `config`."""
        offset = self._architecture.positions.offset
        return f"config.Pos.resize(config.max_seq_len + {offset})" if offset else "config.Pos"
