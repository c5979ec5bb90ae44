"""Raw files to columns; every line is accounted for."""
