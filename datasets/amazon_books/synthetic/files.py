"""Writes a synthetic twin of the raw Amazon Books files.

The four files have the names, formats and quirks of the real ones and no row of them. At scale 1 they have their sizes
and the Raw statistics of the paper's Table 1; whoever builds a dataset from them gets its Final statistics too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from isal import igzip_threaded

from amazon_books.synthetic.catalogue import CALIBRATION, make_catalogue
from amazon_books.synthetic.metadata_2014 import metadata_2014
from amazon_books.synthetic.metadata_json import metadata_2018, metadata_2023
from amazon_books.synthetic.reviews import make_reviews, review_lines
from amazon_books.synthetic.shape import make_shape

DEFAULT_SCALE = 0.02
MARKER = "SYNTHETIC.txt"
FILES = (
    "2014/reviews_Books_5.json.gz",
    "2014/meta_Books.json.gz",
    "2018/meta_Books.json.gz",
    "2023/meta_Books.jsonl.gz",
)

Progress = Callable[[int], object]


def write(
    out_dir: Path,
    scale: float = DEFAULT_SCALE,
    seed: int = 0,
    review_text: bool = True,
    progress: Progress = lambda lines: None,
) -> None:
    """Writes the four raw files and, before them, the marker file that labels them as synthetic.

    The same arguments give the same bytes. Files appear under their names only when they are whole.

    Args:
      out_dir: folder for `SYNTHETIC.txt` and the year folders; made if absent.
      scale: size as a share of the real files, from 0.002 to 1.
      seed: seed of everything, 0 or more.
      review_text: False leaves the texts of reviews empty, which halves the size.
      progress: called with the number of lines after each block.

    Raises:
      ValueError: `scale` or `seed` is out of range.
      OSError: a file cannot be written.
    """
    if seed < 0:
        raise ValueError(f"`seed` should be 0 or more. Received: seed = {seed}.")
    shape = make_shape(scale)
    out_dir.mkdir(parents=True, exist_ok=True)
    marker = f"Synthetic Amazon Books, scale {scale}, seed {seed}: generated, not collected. No real row is in here.\n"
    (out_dir / MARKER).write_text(marker, encoding="utf-8")
    catalogue = make_catalogue(shape, seed, CALIBRATION)
    reviews = make_reviews(shape, catalogue.layout, CALIBRATION.tastes, seed)
    blocks = (
        review_lines(reviews, catalogue.asin, seed, review_text),
        metadata_2014(catalogue, seed),
        metadata_2018(catalogue, seed),
        metadata_2023(catalogue, seed),
    )
    for name, lines in zip(FILES, blocks, strict=True):
        _write_file(out_dir / name, lines, progress)


def total_lines(scale: float) -> int:
    """Lines of the four files together."""
    shape = make_shape(scale)
    return shape.interactions + sum(shape.lines.values())


def _write_file(path: Path, blocks: Iterator[tuple[int, bytes]], progress: Progress) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    # The file is opened with igzip's own header: no name and no time, so that the bytes depend on the lines only.
    with igzip_threaded.open(unfinished, "wb", compresslevel=1, threads=1) as file:
        for lines, block in blocks:
            file.write(block)
            progress(lines)
    unfinished.replace(path)
