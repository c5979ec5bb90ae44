"""The claims of both papers, each with a verdict from the runs and studies given."""
