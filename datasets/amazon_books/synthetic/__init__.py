"""The synthetic twin of the raw files."""

from amazon_books.synthetic.files import DEFAULT_SCALE, FILES, MARKER, total_lines, write

__all__ = ["DEFAULT_SCALE", "FILES", "MARKER", "total_lines", "write"]
