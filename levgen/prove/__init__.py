"""Numeric proofs of a port: a ladder of rungs, the first divergence, mutations of its source, and a report."""
