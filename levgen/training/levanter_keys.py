"""Keys of Levanter's training YAML that the local engine has not, and keys that Levanter has renamed.

Sections are written with dots, `*` for any name: `data.components.*.source`. Source: the dataclasses of Levanter
0.2.227 (`main/train_lm.py`, `trainer.py`, `checkpoint.py`, `data/text/datasets.py`, `optim/config.py`).
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LEVANTER_ONLY: dict[str, frozenset[str]] = {
    "": _words(
        "pad_tokenizer_to_match_model z_loss_weight hf_upload hf_generation_eos_token_ids adapter peft_save_path "
        "peft_hf_upload "
        "merged_hf_save_path merged_hf_upload initialize_from_checkpoint_path initialize_model_from_checkpoint_path "
        "eval_harness eval_harness_steps labeled_eval log_entropy"
    ),
    "data": _words(
        "cache_catalog cache_options auto_build_caches chat_template permutation_type stop_strategy target_budget "
        "experiment_budget max_train_batches num_validation_sequences shuffle_before_trainval_split "
        "prior_context_phases"
    ),
    "data.components.*": _words("cache_dir pack tags split flat_cache datasets children"),
    "data.components.*.source": _words("tags cache_dir format"),
    "trainer": _words(
        "quantization model_averaging watch profiler xla_dump_upload progress_watchdog log_jaxprs log_xla_hlo "
        "crash_on_nan crash_on_inf use_explicit_mesh_axes "
        "allow_nondivisible_batch_size load_checkpoint_path initialize_from allow_partial_checkpoint jax_config "
        "jax_compilation_cache_dir distributed shutdown_at_exit"
    ),
    "trainer.checkpointer": _words(
        "temporary_base_path delete_old_temp_checkpoints keep_last_temporary_checkpoints debug write"
    ),
    "trainer.tracker": _words(
        "logger_name level comment purge_step max_queue flush_secs filename_suffix write_to_disk id resume fork_from "
        "save_code replicate_path background background_max_queue_size background_finish_timeout "
        "service_teardown_timeout"
    ),
    "optimizer": _words(
        "rewarmup cycle_length cycles weight_decay_modules default_weight_decay_mask update_rms_clipping "
        "clip_update_norm skip_bad_steps adamc_weight_decay"
    ),
}

# What `type` may name in Levanter and not here, by section.
LEVANTER_TYPES: dict[str, frozenset[str]] = {
    "data.components.*": _words("direct concat"),
    "data.components.*.source": frozenset(["hf"]),
    "data.components.*.format": _words("chat prebuilt preference_chat trace_chat"),
    "trainer.tracker": _words("telemetry json_file trackio"),
    "optimizer": _words("grug_muon scion mars namo namoD adamH muonH muon mini soap cautious kron adopt"),
}

_MESH = "trainer.mesh"
_SOURCE = "data.components.<name>.source"

# Keys of older versions, each with what to write today.
RENAMED: dict[str, str] = {
    "epoch": "trainer.num_train_steps alone: the data repeats for as many steps",
    "train_urls": f"{_SOURCE}.train_urls",
    "validation_urls": f"{_SOURCE}.validation_urls",
    "model.seq_len": "model.max_seq_len",
    "seq_len": "train_seq_len, or model.max_seq_len",
    "data.seq_len": "train_seq_len, or model.max_seq_len",
    "data.train_urls": f"{_SOURCE}.train_urls",
    "data.validation_urls": f"{_SOURCE}.validation_urls",
    "data.id": f"{_SOURCE}.id with type: hf",
    "data.name": f"{_SOURCE}.name with type: hf",
    "data.text_key": "data.components.<name>.format.text_key",
    "data.configs": "data.components, each with its source",
    "trainer.axis_resources": f"{_MESH}.shared_mapping",
    "trainer.parameter_axis_resources": f"{_MESH}.param_mapping",
    "trainer.fsdp_axis": f"{_MESH}.param_mapping, for example {{embed: data}}",
    "trainer.tensor_parallel_axes": f"{_MESH}.shared_mapping, for example {{mlp: model, heads: model}}",
    "trainer.batch_axis": f"{_MESH}.batch_axis_name",
    "trainer.model_axis_size": f"{_MESH}.axes, for example {{model: 2}}",
    "trainer.replica_ici_axis_size": f"{_MESH}.axes, for example {{replica: 2}}",
    "trainer.replica_dcn_axis_size": f"{_MESH}.dcn_axes, for example {{replica_dcn: 2}}",
    "trainer.profiler_start_step": "trainer.profiler.start_step",
    "trainer.profiler_num_steps": "trainer.profiler.num_steps",
    "trainer.profiler_perfetto_link": "trainer.profiler.perfetto_link",
    "trainer.wandb": "trainer.tracker with type: wandb",
    "trainer.run_name": "trainer.id",
    "trainer.learning_rate": "optimizer.learning_rate",
    "trainer.weight_decay": "optimizer.weight_decay",
    "trainer.lr_schedule": "optimizer.lr_schedule",
    "trainer.warmup_ratio": "optimizer.warmup",
    "trainer.max_grad_norm": "optimizer.max_grad_norm",
    "trainer.load_last_checkpoint": "trainer.load_checkpoint",
    "trainer.checkpointer.load_path": "trainer.load_checkpoint_path",
    "optimizer.warmup_ratio": "optimizer.warmup",
    "optimizer.cooldown": "optimizer.decay",
    "optimizer.haps": "optimizer.cycles",
}

# Keys that were a plain value in older versions and are a section now.
SECTION_NOW: dict[str, str] = {"trainer.profiler": "{enabled: true}"}
