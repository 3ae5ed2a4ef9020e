"""Findings about the check itself: files that do not parse, and comments that switch rules off."""
