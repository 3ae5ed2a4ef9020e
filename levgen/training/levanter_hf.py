"""Folders of transformers for a model that trains in Levanter: what its `HFCheckpointConverter` does, by our loading
and saving.

Levanter's own export writes truncated tensors where the parameters are sharded over several devices; `save_hf` brings
each array to the host whole.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import jax
import jax.numpy as jnp
from haliax import Axis
from haliax.partitioning import ResourceMapping

from levgen.errors import LevgenError
from levgen.runtime import LmConfig, LmHeadModel, save_hf
from levgen.runtime.checkpoints.folder import read_config
from levgen.training.hf_start import HfStart


@dataclass(frozen=True)
class Converter:
    """What `levanter.main.train_lm` asks of a converter, for models of the config class `cls`."""

    cls: type[LmConfig]
    reference_checkpoint: str | None = None
    tokenizer: Any = None  # transformers'

    def replaced(self, **changes: Any) -> Self:
        return dataclasses.replace(self, **changes)

    def warn_if_tokenizer_mismatch(self, tokenizer: Any) -> None:
        """Nothing to compare: a folder's weights say nothing of its tokenizer but the size, which `load` looks at."""

    def with_tokenizer_padded_to_match_model(self) -> Self:
        raise LevgenError("pad_tokenizer_to_match_model needs Levanter's own models", "leave it out of the YAML")

    @property
    def default_hf_config(self) -> Any:
        """The config of the folder `initialize_from_hf`."""
        return self._start.hf_config

    def config_from_hf_config(self, hf_config: Any) -> LmConfig:
        return self.cls.from_hf_config(hf_config)

    def load_pretrained(
        self,
        model_type: type[LmHeadModel],
        *,
        config: LmConfig | None = None,
        axis_mapping: ResourceMapping | None = None,
        dtype: Any = None,
    ) -> LmHeadModel:
        """The model of the folder `initialize_from_hf`, its vocabulary cut or grown to the tokenizer's."""
        start = self._start
        used = config if config is not None else start.model_config(self.cls)
        Vocab = Axis("vocab", len(self.tokenizer))
        return start.load(used, Vocab, dtype=dtype, axis_mapping=axis_mapping, note=print)

    def save_pretrained(
        self, model: LmHeadModel, path: str, *, upload_to_hf: Any = False, dtype: Any = None, **more: Any
    ) -> None:
        """Writes the folder that transformers reads, the tokenizer's files in it."""
        if upload_to_hf:
            raise LevgenError("hf_upload needs Levanter's own models", "upload the folder of hf_save_path yourself")
        ids = {name: getattr(self.tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        save_hf(model, path, dtype=None if dtype is None else jnp.dtype(dtype), config_overrides=ids)
        if jax.process_index() == 0:
            # Levanter wraps transformers' tokenizer in one of its own.
            self.tokenizer.as_hf_tokenizer().save_pretrained(path)

    @property
    def _start(self) -> HfStart:
        if not self.reference_checkpoint:
            raise LevgenError("initialize_from_hf: expected the path of a folder, got true", "name the folder")
        folder = Path(self.reference_checkpoint)
        return HfStart(folder, self.cls.hf_fields.standard(self.cls, read_config(folder)))
