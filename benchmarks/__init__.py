"""What levgen costs, measured against what one would use instead: `python -m benchmarks`. Nothing here gates a test."""
