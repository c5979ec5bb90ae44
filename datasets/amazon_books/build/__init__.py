"""Columns to the interactions of a config, with their history."""
