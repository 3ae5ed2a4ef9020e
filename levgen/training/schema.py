"""The training YAML: Levanter's schema and names, as far as the local engine has them. Needs pydantic only.

`model:` stays a mapping here: its fields are those of the model's config class (see `levgen.training.models`).
"""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from levgen.training.levanter_keys import LEVANTER_SCHEDULES

SERVED = "the local engine hasn't got it: `--engine levanter` serves it"


def _levanter_only(what: str) -> PydanticCustomError:
    return PydanticCustomError("levanter_only", "{what}: {served}", {"what": what, "served": SERVED})


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("wrong_value", "{message}", {"message": message})


def _a_number_not_a_schedule(value: Any) -> Any:
    if isinstance(value, list):
        raise _levanter_only("a schedule of batch sizes")
    return value


def _a_switch_not_blocks(value: Any) -> Any:
    if isinstance(value, dict):
        raise _levanter_only("a block shuffle")
    return value


def _one_tracker(value: Any) -> Any:
    if isinstance(value, list):
        raise _levanter_only("a list of trackers")
    return value


def _single_precision(value: Any) -> Any:
    if value not in ("f32", "float32"):
        raise _levanter_only(f"precision {value!r} (here: f32)")
    return value


def _known_schedule(value: Any) -> Any:
    if isinstance(value, dict) or value in LEVANTER_SCHEDULES:
        raise _levanter_only(f"schedule {value!r} (here: constant, linear, cosine)")
    return value


def _a_folder_not_the_default(value: Any) -> Any:
    if value is True:
        raise _levanter_only("true, for the model's own checkpoint on the hub (here: a folder)")
    return None if value is False else value


def _weights_not_stages(value: Any) -> Any:
    if isinstance(value, list):
        raise _levanter_only("weights that change with the step")
    return value


def _steps_or_fraction(value: float) -> float:
    if value > 1 and value % 1:
        raise _wrong(f"expected a fraction of the run (0 to 1) or a whole number of steps, got {value}")
    return value


_UNIT_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])[a-z]*\s*")


def _duration(value: Any) -> timedelta | None:
    """`1m`, `1h30m`, `90s`; None (`null`) switches the saves by time off."""
    if value is None:
        return None
    parts = _DURATION.findall(value) if isinstance(value, str) else []
    if not parts or _DURATION.sub("", value):
        raise _wrong(f"expected a duration such as 30s, 15m or 1h30m, got {value!r}")
    return timedelta(seconds=sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts))


def _typed(value: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(value.get("type"), str):
        raise _wrong("expected the model's name in `type`, for example `type: llama`")
    return value


Positive = Annotated[int, Field(gt=0)]
StepsOrFraction = Annotated[float, Field(ge=0), AfterValidator(_steps_or_fraction)]
Duration = Annotated[timedelta | None, BeforeValidator(_duration)]


class Section(BaseModel):
    """A section of the YAML: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TextFormat(Section):
    """Rows with the text under one key."""

    type: Literal["text"] = "text"
    text_key: str = "text"


class UrlSource(Section):
    """Files of text: paths, seen from the working directory or else from the project's root."""

    type: Literal["url"] = "url"
    train_urls: Annotated[list[str], Field(min_length=1)]
    validation_urls: list[str] = []


class Component(Section):
    """One data set of the mixture."""

    type: Literal["cached"] = "cached"
    source: UrlSource
    format: TextFormat = TextFormat()


class Data(Section):
    """What to train on and how it becomes tokens."""

    tokenizer: str
    vocab_size: Positive | None = None
    cache_dir: str | None = "cache/"
    enforce_eos: bool = True
    shuffle: Annotated[bool, BeforeValidator(_a_switch_not_blocks)] = True
    block_cross_document_attention: bool = True
    components: Annotated[dict[str, Component], Field(min_length=1)]
    train_weights: Annotated[dict[str, Annotated[float, Field(ge=0)]] | None, BeforeValidator(_weights_not_stages)] = (
        None
    )


class Keep(Section):
    """Checkpoints kept for good: every `every` steps, up to step `until`."""

    every: Positive
    until: Positive | None = None


class Checkpointer(Section):
    """Where and when to save."""

    base_path: str = "checkpoints/"
    save_interval: Duration = timedelta(minutes=15)
    keep: list[Keep] | None = [Keep(every=10000)]
    append_run_id_to_base_path: bool = True


class Tracker(Section):
    """`json_logger` writes one JSON line a step; `noop` writes nothing."""

    type: Literal["json_logger", "noop"] = "json_logger"


class Trainer(Section):
    """The run: length, batch, precision, evaluation, checkpoints."""

    id: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    mp: Annotated[str, BeforeValidator(_single_precision)] = "f32"
    num_train_steps: Positive = 400_000
    train_batch_size: Annotated[Positive, BeforeValidator(_a_number_not_a_schedule)] = 512
    steps_per_eval: Positive = 1000
    max_eval_batches: Positive | None = None
    checkpointer: Checkpointer = Checkpointer()
    load_checkpoint: bool | None = None
    tracker: Annotated[Tracker, BeforeValidator(_one_tracker)] = Tracker()
    log_dir: str = "logs/"
    require_accelerator: bool | None = None


class Adam(Section):
    """AdamW; every default is Levanter's."""

    type: Literal["adam"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 6e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    max_grad_norm: Annotated[float, Field(ge=0)] | None = 1.0
    lr_schedule: Annotated[Literal["constant", "linear", "cosine"], BeforeValidator(_known_schedule)] = "cosine"
    warmup: StepsOrFraction = 0.01
    decay: StepsOrFraction | None = None
    min_lr_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1


class TrainConfig(Section):
    """A whole training YAML."""

    data: Data
    model: Annotated[dict[str, Any], AfterValidator(_typed)]
    trainer: Trainer = Trainer()
    optimizer: Adam = Adam()
    train_seq_len: Positive | None = None
    initialize_from_hf: Annotated[str | None, BeforeValidator(_a_folder_not_the_default)] = None
    use_hf_model_config: bool = False
    hf_save_path: str | None = None
    hf_save_steps: Positive = 10_000
    hf_save_dtype: Literal["float32", "bfloat16", "float16"] | None = None
    data_seed: Annotated[int, Field(ge=0)] | None = None


def active_components(data: Data) -> dict[str, Component]:
    """The components whose weight is more than 0; without `train_weights`, all."""
    weights = data.train_weights
    return {name: part for name, part in data.components.items() if weights is None or weights.get(name, 0) > 0}
