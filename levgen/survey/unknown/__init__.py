"""What nothing known explains: which module it is, what can be said of it, and how all around it is asked about."""
