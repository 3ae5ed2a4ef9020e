"""round trip: transformers writes, we read and write, transformers reads the same bits; configs come back whole."""

import tempfile
from pathlib import Path

from levgen.prove.bench import Bench, Vocab
from levgen.prove.outcome import Outcome, failed, passed
from levgen.runtime import load_hf, save_hf
from levgen.runtime.parity import Ported

_SHARDS = {"one file": "5GB", "sharded": "50KB"}


def round_trip(bench: Bench) -> Outcome:
    """Weights in one file and in several; the tests' config and the defaults."""
    subject = bench.subject
    for config in (subject.config, subject.config_class()):
        back = subject.config_class.from_hf_config(config.to_hf_config(Vocab.size))
        if back != config:
            return failed(f"the config comes back as {back}", f"sent {config}")
    reference = bench.ported().reference
    for name, size in _SHARDS.items():
        with tempfile.TemporaryDirectory(prefix="levgen-") as scratch:
            theirs, ours = Path(scratch) / "theirs", Path(scratch) / "ours"
            reference.save_pretrained(theirs, max_shard_size=size)
            save_hf(load_hf(subject.model_class, theirs), ours, max_shard_size=size)
            differing = Ported.differing_tensors(reference, ours)
        if differing:
            return failed(f"{name}: other bits in {', '.join(differing[:3])}", f"{len(differing)} tensors differ")
    return passed(f"{len(reference.state_dict())} tensors, in one file and sharded; 2 configs")
