"""The look of figures that are files of their own, and their bytes, which are the same for the same figure."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import matplotlib
from matplotlib.figure import Figure


@contextlib.contextmanager
def svg_style() -> Iterator[None]:
    """Within it a figure is made and `svg_text` called."""
    # Without a fixed salt the identifiers in an SVG differ from run to run.
    with matplotlib.rc_context(
        {"svg.hashsalt": "tfdat", "svg.fonttype": "none", "font.size": 8, "text.parse_math": False}
    ):
        yield


def svg_text(figure: Figure) -> str:
    """`figure` as an SVG file."""
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
