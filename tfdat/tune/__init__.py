"""Sweeps: the settings by which DAT does best on validation items."""
