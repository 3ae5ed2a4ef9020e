"""From a checked YAML to everything that a run needs: model config, tokenizer, data, compiled parts, places."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from haliax import Axis

from levgen.errors import LevgenError
from levgen.runtime import LmConfig
from levgen.runtime.hf_load import abstract_model
from levgen.training.batches import Batches, TrainingData, load_data
from levgen.training.hf_export import HfExport, check_exportable
from levgen.training.hf_start import HfStart, find_hf_start
from levgen.training.models import find_class, resolve_model
from levgen.training.optim import learning_rate, make_optimizer
from levgen.training.project import find_project
from levgen.training.schema import TrainConfig
from levgen.training.step import Training
from levgen.training.tokenizer import Tokenizer, load_tokenizer
from levgen.training.validate import Loaded, problems_error


@dataclass(frozen=True)
class Setup:
    """What a run is made of."""

    config: TrainConfig
    data: TrainingData
    batches: Batches
    training: Training
    checkpoint_folder: Path
    metrics_file: Path
    hf_start: HfStart | None
    hf_export: HfExport | None

    @property
    def has_validation(self) -> bool:
        return len(self.data.validation) > 0

    @property
    def tokens_per_step(self) -> int:
        return self.batches.batch_size * self.training.Pos.size

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to be continued: the model and what each step's batch follows from.

        The optimiser and the number of steps may change.
        """
        model = self.training.model_config
        fields = {f"model.{field.name}": repr(getattr(model, field.name)) for field in dataclasses.fields(model)}
        return {
            "model": f"{type(model).__module__}.{type(model).__qualname__}",
            **fields,
            "vocab_size": self.training.Vocab.size,
            "train_seq_len": self.training.Pos.size,
            "trainer.seed": self.training.seed,
            "data_seed": self.batches.seed,
            "trainer.train_batch_size": self.batches.batch_size,
            "data.shuffle": self.batches.shuffle,
            "train sequences": len(self.data.train),
            "train data": self.data.digest,
        }


def prepare(loaded: Loaded) -> Setup:
    """Loads all that the configuration names.

    Raises:
        LevgenError: the first part that can't be loaded, in the order model, tokenizer, data.
    """
    config, source = loaded.config, loaded.source
    project, trainer = find_project(source.path), config.trainer
    if trainer.require_accelerator and jax.default_backend() == "cpu":
        raise LevgenError(
            "trainer.require_accelerator is true, and JAX sees none on this machine",
            "set it to false to train on the CPU",
        )
    model_class = find_class(source.values["model"]["type"], project)
    hf_start = find_hf_start(source, model_class, project)
    if hf_start is not None and config.use_hf_model_config:
        model_config = hf_start.model_config(model_class)
    else:
        model_config = resolve_model(source, project)
    seq_len = _sequence_length(loaded, model_config)
    tokenizer = load_tokenizer(config.data.tokenizer, project)
    data = load_data(config.data, tokenizer, seq_len=seq_len, project=project)
    data_seed = trainer.seed if config.data_seed is None else config.data_seed
    training = Training(
        model_config=model_config,
        Vocab=Axis("vocab", _vocab_size(loaded, tokenizer)),
        Pos=model_config.max_Pos.resize(seq_len),
        optimizer=make_optimizer(config.optimizer, trainer.num_train_steps),
        schedule=learning_rate(config.optimizer, trainer.num_train_steps),
        eos_id=tokenizer.eos_id if config.data.block_cross_document_attention else None,
        seed=trainer.seed,
    )
    run_id = trainer.id or source.path.stem

    def run_folder(base: str) -> Path:
        placed = project.place(base)
        return placed / run_id if trainer.checkpointer.append_run_id_to_base_path else placed

    hf_export = None
    if config.hf_save_path is not None:
        check_exportable(abstract_model(model_config.model_type, model_config, training.Vocab.size))
        hf_export = HfExport(run_folder(config.hf_save_path), config.hf_save_steps, config.hf_save_dtype, tokenizer)
    return Setup(
        config=config,
        data=data,
        batches=Batches(data.train, trainer.train_batch_size, data_seed, config.data.shuffle),
        training=training,
        checkpoint_folder=run_folder(trainer.checkpointer.base_path),
        metrics_file=project.place(trainer.log_dir) / f"{run_id}.jsonl",
        hf_start=hf_start,
        hf_export=hf_export,
    )


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
