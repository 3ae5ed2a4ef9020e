"""From findings to an architecture: hyperparameters, answers and names, each by a file of its own."""
