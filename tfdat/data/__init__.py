"""From interactions to the arrays of one replicate. NumPy only."""
