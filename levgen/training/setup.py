"""From a checked YAML to everything that a run needs: model config, tokenizer, data, compiled parts, places."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from haliax import Axis

from levgen.errors import LevgenError
from levgen.runtime import LmConfig
from levgen.runtime.abstract import abstract_model
from levgen.training.batches import Batches, Ids
from levgen.training.checkpoint import Checkpoints
from levgen.training.hf_export import HfExport, check_exportable
from levgen.training.hf_start import HfStart, find_hf_start
from levgen.training.mesh import Placement
from levgen.training.models import find_class, resolve_model
from levgen.training.optim import learning_rate, make_optimizer
from levgen.training.peaks import peak_flops
from levgen.training.placing import check_batch, mesh_problems, microbatch_of, yaml_placement
from levgen.training.precision import parse_precision
from levgen.training.project import Project, find_project
from levgen.training.schema import TrainConfig
from levgen.training.sequences import Sequences, load_data
from levgen.training.step import Training
from levgen.training.tokenizer import Tokenizer, load_tokenizer
from levgen.training.validate import Loaded, problems_error


@dataclass(frozen=True)
class ModelSetup:
    """What a run is made of, but for its data: enough to convert its checkpoints."""

    loaded: Loaded
    project: Project
    model_class: type[LmConfig]
    tokenizer: Tokenizer
    training: Training

    @property
    def config(self) -> TrainConfig:
        return self.loaded.config

    @property
    def run_id(self) -> str:
        return self.config.trainer.id or self.loaded.source.path.stem

    @property
    def checkpoints(self) -> Checkpoints:
        settings = self.config.trainer.checkpointer
        return Checkpoints(self._run_folder(settings.base_path), settings)

    @property
    def metrics_file(self) -> Path:
        return self.project.place(self.config.trainer.log_dir) / f"{self.run_id}.jsonl"

    @property
    def hf_export(self) -> HfExport | None:
        """The exports that the YAML asks for."""
        config = self.config
        if config.hf_save_path is None:
            return None
        return HfExport(
            self._run_folder(config.hf_save_path), config.hf_save_steps, config.hf_save_dtype, self.tokenizer
        )

    def hf_start(self) -> HfStart | None:
        """The folder to start from. Looked at when it is needed: a run that has a checkpoint does without."""
        return find_hf_start(self.loaded.source, self.model_class, self.project)

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for the arrays of a checkpoint to be those of this model."""
        model = self.training.model_config
        fields = {f"model.{field.name}": repr(getattr(model, field.name)) for field in dataclasses.fields(model)}
        return {
            "model": f"{type(model).__module__}.{type(model).__qualname__}",
            **fields,
            "vocab_size": self.training.Vocab.size,
        }

    def _run_folder(self, base: str) -> Path:
        placed = self.project.place(base)
        return placed / self.run_id if self.config.trainer.checkpointer.append_run_id_to_base_path else placed


@dataclass(frozen=True)
class Setup:
    """What a run is made of."""

    model: ModelSetup
    data: dict[str, Sequences]
    batches: Batches

    @property
    def config(self) -> TrainConfig:
        return self.model.config

    @property
    def training(self) -> Training:
        return self.model.training

    @property
    def validation(self) -> dict[str, Ids]:
        """The sequences to evaluate on, by component."""
        return {name: part.validation for name, part in self.data.items() if len(part.validation)}

    @property
    def eval_batch_size(self) -> int:
        """`per_device_eval_parallelism` on each device, or as many as a step of training computes at once."""
        each = self.config.trainer.per_device_eval_parallelism
        if each == -1:
            return self.training.microbatch or self.batches.batch_size
        return each * self.training.placement.batch_devices

    @property
    def tokens_per_step(self) -> int:
        return self.batches.batch_size * self.training.Pos.size

    @property
    def flops_per_step(self) -> float:
        """Floating-point operations of a step, as Levanter counts them: three times those of the forward pass."""
        training = self.training
        each = training.model_config.flops_per_token(training.Vocab.size, training.Pos.size)
        return 3 * each * self.tokens_per_step

    def utilisation(self, step_seconds: float) -> float | None:
        """The share of what the devices are built for (MFU), None where that isn't known."""
        devices = self.training.placement.mesh.devices
        peak = peak_flops(devices.flat[0].device_kind, self.training.precision.compute)
        return None if peak is None else self.flops_per_step / step_seconds / (peak * devices.size)

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to be continued: the model and what each step's batch follows from.

        The optimiser and the number of steps may change.
        """
        return {
            **self.model.identity,
            "train_seq_len": self.training.Pos.size,
            "trainer.seed": self.training.seed,
            "data_seed": self.batches.seed,
            "trainer.train_batch_size": self.batches.batch_size,
            "data.shuffle": self.batches.shuffle,
            **{f"data of {name}": f"{len(part.train)} sequences, {part.digest}" for name, part in self.data.items()},
            **self._mixture,
        }

    @property
    def _mixture(self) -> dict[str, Any]:
        if len(self.data) == 1:
            return {}
        weights = {f"data.train_weights.{name}": weight for name, weight in self.batches.weights.items()}
        return {**weights, "data.mixture_block_size": self.batches.block_size}


def prepare(loaded: Loaded, *, placement: Placement | None = None) -> Setup:
    """Loads all that the configuration names, for the mesh that it names, or `placement`.

    Raises:
        LevgenError: the first part that can't be loaded, in the order model, tokenizer, data.
    """
    config = loaded.config
    if config.trainer.require_accelerator and jax.default_backend() == "cpu":
        raise LevgenError(
            "trainer.require_accelerator is true, and JAX sees none on this machine",
            "set it to false to train on the CPU",
        )
    model = prepare_model(loaded, placement=yaml_placement(loaded) if placement is None else placement)
    check_batch(loaded, model.training.placement)
    data = load_data(config.data, model.tokenizer, seq_len=model.training.Pos.size, project=model.project)
    data_seed = config.trainer.seed if config.data_seed is None else config.data_seed
    batches = Batches(
        {name: part.train for name, part in data.items()},
        config.trainer.train_batch_size,
        data_seed,
        config.data.shuffle,
        weights={name: 1.0 if config.data.train_weights is None else config.data.train_weights[name] for name in data},
        block_size=config.data.mixture_block_size,
    )
    return Setup(model, data, batches)


def prepare_model(loaded: Loaded, *, placement: Placement) -> ModelSetup:
    """Loads all that the configuration names, but for the data.

    Raises:
        LevgenError: the first part that can't be loaded, in the order model, tokenizer.
    """
    config, source = loaded.config, loaded.source
    project, trainer = find_project(source.path), config.trainer
    model_class = find_class(source.values["model"]["type"], project)
    model_config = _model_config(loaded, model_class, project)
    seq_len = _sequence_length(loaded, model_config)
    tokenizer = load_tokenizer(config.data.tokenizer, project)
    training = Training(
        model_config=model_config,
        Vocab=Axis("vocab", _vocab_size(loaded, tokenizer)),
        Pos=model_config.max_Pos.resize(seq_len),
        optimizer=make_optimizer(config.optimizer, trainer.num_train_steps),
        schedule=learning_rate(config.optimizer, trainer.num_train_steps),
        eos_id=tokenizer.eos_id if config.data.block_cross_document_attention else None,
        seed=trainer.seed,
        placement=placement,
        precision=parse_precision(trainer.mp),
        microbatch=microbatch_of(trainer, placement),
    )
    with mesh_problems(loaded):
        training.check_placement()
    if config.hf_save_path is not None:
        check_exportable(abstract_model(model_config.model_type, model_config, training.Vocab.size))
    return ModelSetup(loaded, project, model_class, tokenizer, training)


def _model_config(loaded: Loaded, model_class: type[LmConfig], project: Project) -> LmConfig:
    """Of the `model:` section, or of the folder to start from."""
    hf_start = find_hf_start(loaded.source, model_class, project) if loaded.config.use_hf_model_config else None
    return resolve_model(loaded.source, project) if hf_start is None else hf_start.model_config(model_class)


def _sequence_length(loaded: Loaded, model_config: LmConfig) -> int:
    """`train_seq_len`, or the longest that the model takes."""
    wanted, longest = loaded.config.train_seq_len, model_config.max_seq_len
    if wanted is not None and wanted > longest:
        message = f"{wanted} is more than model.max_seq_len, {longest}"
        raise problems_error(loaded.source.path, [loaded.source.problem(("train_seq_len",), message)])
    return wanted or longest


def _vocab_size(loaded: Loaded, tokenizer: Tokenizer) -> int:
    """`data.vocab_size`, which may leave room beyond the tokenizer's, or the tokenizer's."""
    wanted = loaded.config.data.vocab_size
    if wanted is not None and wanted < tokenizer.vocab_size:
        message = f"{wanted} is less than the tokenizer's {tokenizer.vocab_size} tokens"
        raise problems_error(loaded.source.path, [loaded.source.problem(("data", "vocab_size"), message)])
    return wanted or tokenizer.vocab_size
