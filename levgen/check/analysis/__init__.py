"""What several rules need to know about source: reads, PRNG keys, HF maps."""
