"""Does a small sample show what the full data would? Nested samples, two protocols, fitted curves and a verdict."""
