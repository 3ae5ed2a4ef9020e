"""Configs of transformers: one table for both directions, and what every one of them has."""
