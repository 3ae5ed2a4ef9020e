"""The kinds of file that are read, each parsed once and shared by all rules."""
