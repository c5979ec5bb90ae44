"""Matplotlib figures as SVG that takes its colours and fonts from the page, so that one figure serves both themes.

Matplotlib refuses `currentColor` and `var(--ink)` for a colour, and writes every colour into a `style` attribute, which
a class in the page's style sheet cannot overrule. So figures are drawn in stand-in colours, which no figure needs
otherwise, and the stand-ins are replaced in the text of the SVG.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, MUTED, GRID, BAND, PAPER, ACCENT = "#010101", "#020202", "#030303", "#040404", "#060606", "#080808"
"""Stand-ins that `svg` turns into the page's variables."""

_STYLES: dict[str, tuple[str, Any, str]] = {
    "dat": ("#050100", "-", "o"),
    "dat-no-cal": ("#050200", (0, (6, 2)), "s"),
    "dat-no-amm": ("#050300", (0, (4, 1.5, 1, 1.5)), "^"),
    "two-tower": ("#050400", (0, (2, 1.5)), "D"),
    "mostpop": ("#050500", "-", "P"),
    "chance": ("#050600", (0, (1, 2)), "X"),
}
_OTHERS = tuple((f"#05070{i}", "-", marker) for i, marker in enumerate("v<>*"))
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--rule",
    BAND: "--band",
    PAPER: "--paper",
    ACCENT: "--bad",
    **{colour: f"--{name}" for name, (colour, _, _) in _STYLES.items()},
    **{colour: f"--other{i}" for i, (colour, _, _) in enumerate(_OTHERS)},
}
_RC: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.7,
}
_DROPPED = (
    re.compile(r"<\?xml.*?\?>\s*", re.DOTALL),
    re.compile(r"<!DOCTYPE.*?>\s*", re.DOTALL),
    re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL),
    re.compile(r"<!--.*?-->\s*", re.DOTALL),
    re.compile(r"<style type=\"text/css\">\*.*?</style>\s*", re.DOTALL),
)


def style(method: str, position: int = 0) -> dict[str, Any]:
    """Colour, dashes and marker of a model; a model without its own takes one by `position`."""
    colour, dashes, marker = _STYLES.get(method) or _OTHERS[position % len(_OTHERS)]
    return {"color": colour, "linestyle": dashes, "marker": marker}


def variable(method: str, position: int = 0) -> str:
    """The page's variable for a model's colour, such as `--dat`."""
    return _VARIABLES[style(method, position)["color"]]


@contextlib.contextmanager
def panel(width: float = 4.0, height: float = 2.9) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one pair of axes, in inches, transparent, in the page's style."""
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.add_subplot()


def svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an `<svg>` element for a page that defines the variables.

    Args:
      figure: made within `panel`, and still inside its block.
      name: unique on the page; makes the identifiers inside unique.
      alt: what the figure shows, for those who do not see it.
    """
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the browser has fonts of its own
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    drawn = text.getvalue()
    for pattern in _DROPPED:
        drawn = pattern.sub("", drawn)
    drawn = re.sub(r"<g id=\"[^\"]*\"(/?)>", r"<g\1>", drawn)
    drawn = drawn.replace("'DejaVu Sans'", "var(--sans)")
    drawn = re.sub(r"#0[0-9a-f]{5}\b", lambda match: _themed(match[0]), drawn)
    return re.sub(
        r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", rf'<svg \1 role="img" aria-label="{_attribute(alt)}">', drawn
    )


def _themed(colour: str) -> str:
    return f"var({_VARIABLES[colour]})" if colour in _VARIABLES else colour


def _attribute(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return escaped.replace("\\", "\\\\")
