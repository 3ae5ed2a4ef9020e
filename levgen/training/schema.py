"""The training YAML: Levanter's schema and names, as far as the local engine has them. Needs pydantic only.

`model:` stays a mapping here: its fields are those of the model's config class (see `levgen.training.models`).
"""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from levgen.errors import LevgenError
from levgen.training.precision import UnservedPrecisionError, parse_precision
from levgen.training.schema_optimizer import Adam, Optimizer
from levgen.training.sections import Positive, Section, default_type, levanter_only, never_a, wrong


def _precision(value: Any) -> Any:
    if not isinstance(value, str):
        raise wrong(f"expected a policy such as p=f32,c=bfloat16, got {value!r}")
    try:
        parse_precision(value)
    except UnservedPrecisionError as error:
        raise levanter_only(error.message) from error
    except LevgenError as error:
        raise wrong(error.message) from error
    return value


def _a_number_of_examples(value: Any) -> Any:
    if isinstance(value, list):
        raise levanter_only("a schedule of batch sizes")
    if value == -1:
        raise levanter_only("-1, for as many as the devices compute at once")
    return value


def _a_folder_not_the_default(value: Any) -> Any:
    if value is True:
        raise levanter_only("true, for the model's own checkpoint on the hub (here: a folder)")
    return None if value is False else value


_UNIT_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])[a-z]*\s*")


def _duration(value: Any) -> timedelta | None:
    """`1m`, `1h30m`, `90s`; None (`null`) switches the saves by time off."""
    if value is None:
        return None
    parts = _DURATION.findall(value) if isinstance(value, str) else []
    if not parts or _DURATION.sub("", value):
        raise wrong(f"expected a duration such as 30s, 15m or 1h30m, got {value!r}")
    return timedelta(seconds=sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts))


def _typed(value: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(value.get("type"), str):
        raise wrong("expected the model's name in `type`, for example `type: llama`")
    return value


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _all_devices_or_some(value: int) -> int:
    """-1: no accumulation; else the examples that a device computes at once."""
    if value == 0 or value < -1:
        raise wrong(f"expected a whole number of examples, or -1 for all at once, got {value}")
    return value


def _mesh_size(value: int) -> int:
    if value == 0 or value < -1:
        raise wrong(f"expected a number of devices, or -1 for those that are left, got {value}")
    return value


def _batch(value: Any) -> Any:
    if value != "batch":
        raise levanter_only(f"a batch axis named {value!r} (here: batch)")
    return value


Weight = Annotated[float, Field(ge=0)]
MeshSize = Annotated[int, AfterValidator(_mesh_size)]
MeshAxes = str | Annotated[list[str], Field(min_length=1)]
Duration = Annotated[timedelta | None, BeforeValidator(_duration)]
Parallelism = Annotated[int, AfterValidator(_all_devices_or_some)]


class TextFormat(Section):
    """Rows with the text under one key."""

    type: Literal["text"] = "text"
    text_key: str = "text"


class UrlSource(Section):
    """Files of text: paths, seen from the working directory or else from the project's root."""

    type: Literal["url"] = "url"
    train_urls: Annotated[list[str], Field(min_length=1)]
    validation_urls: list[str] = Field(default_factory=list)


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
    shuffle: Annotated[bool, never_a(dict, "a block shuffle")] = True
    block_cross_document_attention: bool = True
    components: Annotated[dict[str, Component], Field(min_length=1)]
    train_weights: Annotated[dict[str, Weight] | None, never_a(list, "weights that change with the step")] = None
    mixture_block_size: Annotated[int, Field(gt=0, lt=2**16)] = 2048


class Keep(Section):
    """Checkpoints kept for good: every `every` steps, up to step `until`."""

    every: Positive
    until: Positive | None = None


class Checkpointer(Section):
    """Where and when to save."""

    base_path: str = "checkpoints/"
    save_interval: Duration = timedelta(minutes=15)
    keep: list[Keep] | None = Field(default_factory=lambda: [Keep(every=10000)])
    append_run_id_to_base_path: bool = True


class JsonLogger(Section):
    """One JSON line a step."""

    type: Literal["json_logger"] = "json_logger"


class Noop(Section):
    """Nothing."""

    type: Literal["noop"] = "noop"


class Tensorboard(Section):
    """TensorBoard's event files, in `logdir`/<id>."""

    type: Literal["tensorboard"] = "tensorboard"
    logdir: str = "tblogs"


class Wandb(Section):
    """A run of Weights & Biases."""

    type: Literal["wandb"] = "wandb"
    entity: str | None = None
    project: str | None = "levanter"
    name: str | None = None
    group: str | None = None
    tags: list[str] = Field(default_factory=list)
    mode: Literal["online", "offline", "disabled"] | None = None


Tracker = Annotated[
    Annotated[JsonLogger | Noop | Tensorboard | Wandb, Field(discriminator="type")],
    BeforeValidator(default_type("json_logger")),
]


def _fsdp() -> dict[str, MeshAxes]:
    return {"embed": "data"}


def _json_lines() -> list[Tracker]:
    return [JsonLogger()]


class MeshConfig(Section):
    """The devices as a grid of named axes, and which axes of arrays lie along which of them.

    A size of -1 takes the devices that the other axes leave.
    """

    axes: dict[str, MeshSize] = Field(default_factory=dict)
    dcn_axes: dict[str, MeshSize] = Field(default_factory=dict)
    batch_axis_name: Annotated[str, BeforeValidator(_batch)] = "batch"
    shared_mapping: dict[str, MeshAxes] = Field(default_factory=dict)
    compute_mapping: dict[str, MeshAxes] = Field(default_factory=dict)
    param_mapping: dict[str, MeshAxes] = Field(default_factory=_fsdp)


class Trainer(Section):
    """The run: length, batch, precision, evaluation, checkpoints."""

    id: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    mesh: MeshConfig = MeshConfig()
    mp: Annotated[str, BeforeValidator(_precision)] = "f32"
    num_train_steps: Positive = 400_000
    train_batch_size: Annotated[Positive, BeforeValidator(_a_number_of_examples)] = 512
    per_device_parallelism: Parallelism = -1
    per_device_eval_parallelism: Parallelism = -1
    steps_per_eval: Positive = 1000
    max_eval_batches: Positive | None = None
    checkpointer: Checkpointer = Checkpointer()
    load_checkpoint: bool | None = None
    tracker: Annotated[list[Tracker], BeforeValidator(_as_list)] = Field(default_factory=_json_lines)
    log_dir: str = "logs/"
    require_accelerator: bool | None = None


class TrainConfig(Section):
    """A whole training YAML."""

    data: Data
    model: Annotated[dict[str, Any], AfterValidator(_typed)]
    trainer: Trainer = Trainer()
    optimizer: Optimizer = Adam()
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
