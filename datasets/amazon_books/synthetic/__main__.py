"""`python -m amazon_books.synthetic --out DIR`: writes a synthetic twin of the raw Amazon Books files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from amazon_books.synthetic.files import DEFAULT_SCALE, total_lines, write
from amazon_books.synthetic.shape import MIN_SCALE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m amazon_books.synthetic",
        description="Writes synthetic raw files in the exact formats of the Amazon Books releases.",
        epilog="Then: tfds build datasets/amazon_books --manual_dir DIR",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for SYNTHETIC.txt, 2014/, 2018/, 2023/"
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=DEFAULT_SCALE,
        help=f"share of the real size, {MIN_SCALE} to 1; .02 takes seconds and 120 MB (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default: %(default)s)")
    parser.add_argument("--no-text", action="store_true", help="leave the review texts empty: smaller and faster")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """The command line; a wrong argument or a full disk ends it with one line and exit code 2."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        with tqdm(total=total_lines(options.scale), unit=" lines", unit_scale=True, desc="writing") as bar:
            write(options.out, options.scale, options.seed, not options.no_text, bar.update)
    except (ValueError, OSError) as error:
        sys.exit(_fail(error))


def _fail(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
