"""tfdat: does the Dual Augmented Two-tower model do what its papers say, and how sure are we?

Importing this package imports no TensorFlow. See `python -m tfdat.train --help`.
"""

__version__ = "0.2.0"
