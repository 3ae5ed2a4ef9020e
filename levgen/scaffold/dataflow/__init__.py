"""What a layer does, as steps in order: what the diagrams of `levgen inspect` are drawn from."""
