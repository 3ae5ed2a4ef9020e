from levgen.training.peaks import peak_flops


def test_devices_are_known_by_the_longest_name() -> None:
    assert peak_flops("TPU v5 lite", "bfloat16") == 197e12
    assert peak_flops("TPU v5", "bfloat16") == 459e12
    assert peak_flops("NVIDIA H100 80GB HBM3", "float16") == 989e12
    assert peak_flops("NVIDIA H100 PCIe", "bfloat16") == 756e12
    assert peak_flops("cpu", "bfloat16") is None
    assert peak_flops("TPU v4", "float32") is None
