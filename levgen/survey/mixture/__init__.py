"""Mixtures of experts: what an expert is, how a router chooses and weighs, and what every token gets."""
