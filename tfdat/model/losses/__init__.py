"""The terms of equation (4), one file each."""
