"""The fields of a generated class, as the templates see them."""

import keyword
from dataclasses import dataclass, field

# Names that a generated class uses for itself: a weight of such a name gets another field, and a line in the key map.
_RESERVED = {"config", "act", "init"}


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


def usable(name: str) -> bool:
    """Whether a name of the checkpoint can be a field of ours."""
    return name.isidentifier() and not keyword.iskeyword(name) and name not in _RESERVED and not name.startswith("_")


def common_prefix(paths: list[str]) -> str | None:
    """The dotted path that all of `paths` lie below, or None."""
    shared: list[str] = []
    for steps in zip(*(path.split(".")[:-1] for path in paths), strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return ".".join(shared) or None


def below(path: str, prefix: str | None) -> str:
    """A dotted path, from `prefix` on."""
    return path if prefix is None else path.removeprefix(f"{prefix}.")
