"""Finding the sizes of a tiny config."""
