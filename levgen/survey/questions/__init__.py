"""One question a file: from what was recorded to an answer, with its evidence."""
