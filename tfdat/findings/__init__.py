"""What the commands found: the files that they keep, read and checked, their figures, and the verdicts on claims."""
