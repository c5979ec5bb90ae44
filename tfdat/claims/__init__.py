"""The claims of both papers, each with a verdict from runs and studies that are there."""
