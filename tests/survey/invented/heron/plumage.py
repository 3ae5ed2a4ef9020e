"""The config of an invented decoder: see wings.py."""

from transformers import PretrainedConfig


class HeronConfig(PretrainedConfig):
    model_type = "heron"
    span: int = 256
    perches: int = 6
    eyes: int = 8
    paired_eyes: int = 2
    vane: int = 40
    crop: int = 640
    glide: str = "silu"
    calm: float = 1e-6
    glare: float = 50.0
    murmur: float = 30.0
    turns: dict | None = None
    vocab_size: int = 512

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.turns = self.turns or {"rope_theta": 20000.0, "rope_type": "default", "partial_rotary_factor": 0.5}
