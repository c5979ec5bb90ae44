"""Sweeps: the space that is searched, the search, and its record."""
