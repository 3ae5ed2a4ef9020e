"""Both sides of a comparison with every intermediate value kept, and aligned by module."""
