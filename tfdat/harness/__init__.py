"""One replicate, many replicates, devices, and the run directory."""
