"""The fields of a generated class, as the templates see them."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Projection:
    """A linear layer of a part."""

    field: str
    role: str
    inputs: str  # Python source over `config`, or the name of a local variable
    outputs: str
    shape: str  # for the comment: "Embed -> (Heads, HeadSize)"
    use_bias: str
    std: str
    out_first: bool
    when: str | None = None  # Python source: where there is one at all
    remark: str = ""  # what the comment says beside the shape
    made_by: str = "Linear.init"  # or a function that is that with some arguments

    @property
    def type(self) -> str:
        return "Linear" if self.when is None else "Linear | None"

    @property
    def init(self) -> str:
        """The call that makes it, with the key `k_<role>`."""
        layout = "" if self.out_first else ", out_first=False"
        arguments = f"key=k_{self.role}, std={self.std}, use_bias={self.use_bias}{layout}"
        return _made(f"{self.made_by}({self.inputs}, {self.outputs}, {arguments})", self.when)


@dataclass(frozen=True)
class NormField:
    """A norm of a part: its field and the axes that it is over."""

    field: str
    role: str
    axis: str
    call: str
    when: str | None = None  # Python source: where there is one at all
    remark: str = ""  # the same in words
    kind: str | None = None  # its class, where that is another than usual

    @property
    def init(self) -> str:
        return _made(self.call, self.when)


def _made(call: str, when: str | None) -> str:
    return call if when is None else f"{call} if {when} else None"


@dataclass
class PartView:
    """What a part's template needs beside the answers: its fields, and a key map where names differ."""

    projections: list[Projection] = field(default_factory=list)
    norms: list[NormField] = field(default_factory=list)
    key_map: dict[str, str | None] = field(default_factory=dict)
    key_map_when: str | None = None  # Python source: where the names differ, when it is not always
    act: str = "act"  # the field of an MLP's activation


def shape(axes: list[str]) -> str:
    """`Embed`, or `(Heads, HeadSize)` for several."""
    return axes[0] if len(axes) == 1 else f"({', '.join(axes)})"


def over_config(axes: list[str]) -> str:
    """The same, read from `config`."""
    return shape([f"config.{axis}" for axis in axes])
