"""Does a small sample say what the full data would? Nested samples, two protocols, fitted curves and a verdict."""
