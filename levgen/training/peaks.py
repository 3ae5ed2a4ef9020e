"""The most floating-point operations a second that devices are built for, dense and in 16 bits, from their makers."""

_PEAKS = {
    "TPU v3": 123e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5p": 459e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
}


def peak_flops(device_kind: str, dtype: str) -> float | None:
    """The peak of one device of jax's `device_kind`, None where it isn't known: other devices, and 32 bits."""
    if dtype == "float32":
        return None
    # The longest first: a name may begin with another's.
    names = sorted((name for name in _PEAKS if device_kind.startswith(name)), key=len, reverse=True)
    return _PEAKS[names[0]] if names else None
