"""The `optimizer:` section: Levanter's optimisers and schedules that optax has. Every default is Levanter's."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from levgen.training.sections import Fraction, Positive, PositiveFloat, Section, StepsOrFraction, default_type


class Constant(Section):
    """No decay."""

    type: Literal["constant"] = "constant"


class Linear(Section):
    """A straight line to the minimum."""

    type: Literal["linear"] = "linear"


class Cosine(Section):
    """Half a period of a cosine, to the power of `exponent`."""

    type: Literal["cosine"] = "cosine"
    exponent: PositiveFloat = 1.0


class Polynomial(Section):
    """(1 - t)^power."""

    type: Literal["polynomial"] = "polynomial"
    power: PositiveFloat = 2.0


class Inverse(Section):
    """1 / t, scaled to reach the minimum at the end."""

    type: Literal["inv"] = "inv"


class InverseSqrt(Section):
    """sqrt(timescale / step), the warm-up's steps counted, and never more than the peak."""

    type: Literal["inv_sqrt"] = "inv_sqrt"
    timescale: PositiveFloat = 10000


class InverseSqrtDecay(Section):
    """1 / sqrt(1 + decay_constant * t)."""

    type: Literal["inv_sqrt_decay"] = "inv_sqrt_decay"
    decay_constant: PositiveFloat = 28.6


class Power(Section):
    """A power of the number of tokens seen, batch_size * a * tokens^b (https://arxiv.org/abs/2408.13359)."""

    type: Literal["power"] = "power"
    batch_size: Positive
    seq_length: Positive
    a: PositiveFloat = 4.6
    b: Annotated[float, Field(lt=0)] = -0.51


Schedule = Annotated[
    Annotated[
        Constant | Linear | Cosine | Polynomial | Inverse | InverseSqrt | InverseSqrtDecay | Power,
        Field(discriminator="type"),
    ],
    BeforeValidator(default_type("cosine")),
]


class _Common(Section):
    """What every optimiser has: a schedule, clipping by the global norm, decoupled weight decay."""

    learning_rate: PositiveFloat = 6e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    max_grad_norm: Annotated[float, Field(ge=0)] | None = 1.0
    lr_schedule: Schedule = Cosine()
    warmup: StepsOrFraction = 0.01
    decay: StepsOrFraction | None = None
    min_lr_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1


class Adam(_Common):
    """AdamW."""

    type: Literal["adam"] = "adam"
    beta1: Fraction = 0.9
    beta2: Fraction = 0.95
    epsilon: PositiveFloat = 1e-8
    nesterov: bool = False


class Lion(_Common):
    """The sign of a momentum (https://arxiv.org/abs/2302.06675)."""

    type: Literal["lion"] = "lion"
    beta1: Fraction = 0.9
    beta2: Fraction = 0.95


class RmsProp(_Common):
    """RMSProp with momentum, both corrected for their start at 0."""

    type: Literal["rmsprop"] = "rmsprop"
    beta1: Fraction = 0.9
    beta2: Fraction = 0.99
    eps: PositiveFloat = 1e-30


Optimizer = Annotated[
    Annotated[Adam | Lion | RmsProp, Field(discriminator="type")], BeforeValidator(default_type("adam"))
]
