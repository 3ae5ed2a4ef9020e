"""The base class of every model's configuration."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, overload

import draccus
from haliax import Axis
from jaxtyping import PRNGKeyArray

from levgen.errors import LevgenError, did_you_mean
from levgen.runtime.hf_config.fields import HfFields

if TYPE_CHECKING:
    from levgen.runtime.model import LmHeadModel

C = TypeVar("C")


class RegistryError(LevgenError):
    """Two classes ask for one name of the registry, or a name is not in it."""


@dataclass(frozen=True)
class LmConfig(draccus.ChoiceRegistry, abc.ABC):
    """Hyperparameters and axes of a language model, chosen in YAML by `type: <registered name>`.

    A subclass is a frozen dataclass with a default for every field, registered by
    `@LmConfig.register_subclass("name")`, with `model_type` and, where a reference exists in transformers, `hf_fields`.
    """

    max_seq_len: int

    hf_fields: ClassVar[HfFields] = HfFields(None, {"max_seq_len": "max_seq_len"})

    # Written as a model's own axes are, so that a model may state them again.
    Pos = property(lambda self: Axis("position", self.max_seq_len))
    max_Pos = property(lambda self: Axis("position", self.max_seq_len))
    KeyPos = property(lambda self: Axis("key_position", self.max_seq_len))

    @property
    @abc.abstractmethod
    def model_type(self) -> type["LmHeadModel"]:
        """The class of the model that this configures."""

    def build(self, Vocab: Axis, *, key: PRNGKeyArray) -> "LmHeadModel":
        """A model with fresh weights. Jit it (`eqx.filter_jit`): op by op it is many times slower."""
        return self.model_type.init(Vocab, self, key=key)

    @classmethod
    def from_hf_config(cls, hf_config: Any) -> Self:
        """The configuration that a transformers config, or the dict of a config.json, describes.

        Raises `HfConfigError`, which lists every attribute that can't be carried over.
        """
        return cls.hf_fields.read(cls, hf_config)

    def to_hf_config(self, vocab_size: int, config_overrides: dict[str, Any] | None = None) -> Any:
        """The transformers config of the same model. `config_overrides` are set last, by transformers' names."""
        return self.hf_fields.write(self, vocab_size, config_overrides or {})

    def active_share(self, axis: Axis) -> float:
        """The share of the slices along `axis` that one token passes through.

        1 for every axis, but for the expert axis of a mixture, whose config overrides this with
        experts per token / experts.
        """
        del axis
        return 1.0

    def attention_span(self, context_length: int) -> float:
        """How many keys a query is scored against, on average over the layers.

        All of them by default: causal masking halves nothing, as in Levanter. A config with windows overrides this.
        """
        return float(context_length)

    def flops_per_token(self, vocab_size: int, context_length: int) -> float:
        """Floating-point operations of one token's forward pass, as `lm_flops_per_token` of Levanter counts them.

        Two for each weight of a matrix product, the head included, embedding look-ups not; for each attention head
        and key, two for each element of the score and of the value, and three for mask and softmax.
        """
        from levgen.runtime.flops import forward_flops_per_token

        return forward_flops_per_token(self, vocab_size, context_length)

    def total_trainable_params(self, vocab_size: int) -> int:
        """The number of trainable numbers, exactly, from the shapes of the model's arrays."""
        from levgen.runtime.flops import count_parameters

        return count_parameters(self, vocab_size)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Stated with its types, which draccus leaves out: a strict type checker would hold that against every config.
        super().__init_subclass__(**kwargs)  # type: ignore[no-untyped-call]

    @overload
    @classmethod
    def register_subclass(cls, name: str, choice_type: type[C]) -> type[C]: ...

    @overload
    @classmethod
    def register_subclass(cls, name: str) -> Callable[[type[C]], type[C]]: ...

    @classmethod
    def register_subclass(cls, name: str, choice_type: type[Any] | None = None) -> Any:
        """Register a config class under the `type` of YAML files.

        The same class of a file that is imported again (an edited notebook or module) replaces the earlier one.
        Raises `RegistryError` where another class holds the name.
        """

        def register(new: type[C]) -> type[C]:
            held = cls._choice_registry.get(name)
            if held is not None and _full_name(held) != _full_name(new):
                raise RegistryError(
                    f"{_full_name(new)} can't be registered as {name!r}: {_full_name(held)} is registered so.",
                    "Give one of the two another name, or import only one of them.",
                )
            cls._choice_registry[name] = new
            return new

        return register if choice_type is None else register(choice_type)

    @classmethod
    def get_choice_class(cls, name: str) -> Any:
        """The config class registered as `name`."""
        if name not in cls._choice_registry:
            known = ", ".join(sorted(cls._choice_registry)) or "none"
            raise RegistryError(
                f"no model type {name!r} is registered; registered: {known}.",
                did_you_mean(name, cls._choice_registry) or "Import the file of the model first.",
            )
        return cls._choice_registry[name]


def _full_name(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
