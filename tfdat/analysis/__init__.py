"""Published numbers, statistics, tables, figures and the report."""
