"""Exact ranks over the whole catalogue, metrics and baselines."""
