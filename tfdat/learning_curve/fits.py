"""Parametric learning curves: a metric as a function of the share of users that a model is trained on.

The forms, for a share x:

| name | formula | parameters | where it comes from |
|---|---|---|---|
| `loglinear` | a + b ln x | 2 | LOG2 of Viering & Loog (2022), table 1 |
| `power` | a x^b | 2 | POW2, written for a value that may rise |
| `pow4` | c + k (x + d)^-alpha | 4 | POW4, c - (a x + b)^-alpha with k = -a^-alpha and d = b/a |
| `mmf4` | (a b + c x^d) / (b + x^d) | 4 | Morgan-Mercer-Flodin: from a at x = 0 to c at infinity |

POW4 and MMF4 extrapolate best among the forms that Viering and Loog (*The Shape of Learning Curves: a Review*, IEEE
TPAMI 2022) and the learning curve database LCDB (Mohr et al. 2022; version 1.1, 2025) compare. Signs are free, since a
curve of the `own` protocol falls.

A fit is a bounded least-squares problem with several starts. Given a curve's shape, its other parameters enter linearly
and are solved for exactly (`scipy.optimize.lsq_linear`), so that only the shape is searched: variable projection, from
the best points of a small grid (`scipy.optimize.least_squares`).
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares, lsq_linear

Floats = NDArray[np.float64]

STARTS = 3
"""Points of the grid that are refined."""

MAX_EVALUATIONS = 200
_TOLERANCE = 1e-10


@dataclasses.dataclass(frozen=True)
class Form:
    """A parametric curve; y is linear in its first two parameters once the shape is given.

    Attributes:
      name: its key.
      formula: in words that a table can hold.
      parameters: names, the linear ones first.
      basis: (x, shape) -> [n, linear] the columns that the linear parameters multiply.
      linear: bounds of the linear parameters; the name `top` stands for the highest value of the metric.
      shape: bounds of the shape parameters.
      grid: values of each shape parameter to start from.
    """

    name: str
    formula: str
    parameters: tuple[str, ...]
    basis: Callable[[Floats, Floats], Floats]
    linear: tuple[tuple[float | str, float | str], ...]
    shape: tuple[tuple[float, float], ...] = ()
    grid: tuple[tuple[float, ...], ...] = ()

    def value(self, x: Floats, parameters: Floats) -> Floats:
        """[n] the curve at `x`."""
        count = len(self.linear)
        return np.asarray(self.basis(x, parameters[count:]) @ parameters[:count])


def _loglinear(x: Floats, shape: Floats) -> Floats:
    return np.stack([np.ones_like(x), np.log(x)], axis=1)


def _power(x: Floats, shape: Floats) -> Floats:
    return np.asarray(x[:, None] ** shape[0])


def _pow4(x: Floats, shape: Floats) -> Floats:
    return np.stack([np.ones_like(x), (x + shape[0]) ** -shape[1]], axis=1)


def _mmf4(x: Floats, shape: Floats) -> Floats:
    start = shape[0] / (shape[0] + x ** shape[1])
    return np.stack([start, 1 - start], axis=1)


_ANY = (-np.inf, np.inf)
FORMS: Mapping[str, Form] = MappingProxyType(
    {
        form.name: form
        for form in (
            Form("loglinear", "a + b ln x", ("a", "b"), _loglinear, (_ANY, _ANY)),
            Form("power", "a x^b", ("a", "b"), _power, ((0.0, np.inf),), ((-3.0, 3.0),), ((-0.5, -0.1, 0.1, 0.5),)),
            Form(
                "pow4",
                "c + k (x + d)^-alpha",
                ("c", "k", "d", "alpha"),
                _pow4,
                ((0.0, "top"), _ANY),
                ((0.0, 100.0), (0.01, 4.0)),
                ((0.0, 0.3, 3.0), (0.1, 0.4, 1.0, 2.5)),
            ),
            Form(
                "mmf4",
                "(a b + c x^d) / (b + x^d)",
                ("a", "c", "b", "d"),
                _mmf4,
                ((0.0, "top"), (0.0, "top")),
                ((1e-4, 1e4), (0.05, 4.0)),
                ((0.1, 1.0, 10.0, 100.0), (0.2, 0.5, 1.0, 2.0)),
            ),
        )
    }
)
"""Every form by its name."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """A form fitted to points.

    Attributes:
      form: the name of the form.
      parameters: by name; empty where there is no fit. They belong to x in units of `unit` and are for the record: a
        curve with four parameters and a few points often has many that fit equally well.
      unit: the share of users that x = 1 stands for.
      top: the highest value that the metric can take.
      rmse: root mean square of the residuals, in the metric's unit.
      problem: why there is no fit, in words; empty where there is one.
    """

    form: str
    parameters: Mapping[str, float]
    unit: float
    top: float
    rmse: float
    problem: str = ""

    def at(self, x: float) -> float:
        """The curve's value at the share `x`, kept within what the metric can take.

        Raises:
          ValueError: there is no fit.
        """
        if self.problem:
            raise ValueError(f"{self.form} was not fitted: {self.problem}.")
        values = np.array([self.parameters[name] for name in FORMS[self.form].parameters])
        value = FORMS[self.form].value(np.array([x / self.unit]), values)[0]
        return float(np.clip(value, 0.0, self.top))


def fit(form: str, x: ArrayLike, y: ArrayLike, top: float = 1.0) -> Fit:
    """Fits a form to points.

    Args:
      form: a name in `FORMS`.
      x: [n] shares of the users, above 0.
      y: [n] values of the metric.
      top: the highest value that the metric can take; the lowest is 0.

    Returns:
      The fit, or one with a `problem` where there are fewer points than parameters or no start converged.

    Raises:
      ValueError: `form` is unknown, or x and y are not as described.
    """
    if form not in FORMS:
        raise ValueError(f"`form` should be one of {', '.join(FORMS)}. Received: {form!r}.")
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if xs.shape != ys.shape or xs.ndim != 1 or not np.isfinite(ys).all() or not (xs > 0).all():
        raise ValueError(f"`x` should hold positive and `y` finite numbers, as many. Received: {x!r} and {y!r}.")
    return _fit(form, tuple(xs.tolist()), tuple(ys.tolist()), float(top))


@functools.lru_cache(maxsize=8192)
def _fit(form: str, x: tuple[float, ...], y: tuple[float, ...], top: float) -> Fit:
    """`fit`, cached: a curve is evaluated at several shares."""
    chosen, xs, ys = FORMS[form], np.array(x), np.array(y)
    distinct = len(np.unique(xs))
    unit = float(np.exp(np.log(xs).mean())) if len(xs) else 1.0
    if distinct < len(chosen.parameters):
        problem = f"{len(chosen.parameters)} parameters need as many fractions, and there are {distinct}"
        return Fit(form, {}, unit, top, float("nan"), problem)
    scale = float(np.abs(ys).max()) or 1.0
    best, problem = _solve(chosen, xs / unit, ys / scale, top / scale)
    if best is None:
        return Fit(form, {}, unit, top, float("nan"), problem)
    residuals = chosen.value(xs / unit, best) * scale - ys
    best[: len(chosen.linear)] *= scale
    rmse = float(np.sqrt(np.mean(residuals**2)))
    return Fit(form, dict(zip(chosen.parameters, map(float, best), strict=True)), unit, top, rmse)


def _limits(bounds: Iterable[float | str], top: float) -> Floats:
    """Bounds with `top` in place of its name."""
    return np.array([top if bound == "top" else float(bound) for bound in bounds])


def _solve(form: Form, x: Floats, y: Floats, top: float) -> tuple[Floats | None, str]:
    """The parameters of the best start that converged, or None and why there is none."""
    lowest, highest = zip(*form.linear, strict=True)
    limits = _limits(lowest, top), _limits(highest, top)

    def linear(shape: Floats) -> Floats:
        free = np.linalg.lstsq(form.basis(x, shape), y, rcond=None)[0]
        if np.all((limits[0] <= free) & (free <= limits[1])):
            return np.asarray(free)
        return np.asarray(lsq_linear(form.basis(x, shape), y, limits, method="bvls").x)

    def residuals(shape: Floats) -> Floats:
        return np.asarray(form.basis(x, shape) @ linear(shape) - y)

    if not form.shape:
        nothing = np.empty(0)
        return linear(nothing), ""
    low, high = (np.array(side) for side in zip(*form.shape, strict=True))
    grid = [np.array(shape) for shape in itertools.product(*form.grid)]
    costs = [float(np.sum(residuals(shape) ** 2)) for shape in grid]
    found: list[tuple[float, Floats]] = []
    for position in np.argsort(costs, kind="stable")[:STARTS]:
        solved = least_squares(
            residuals,
            _within(grid[position], low, high),
            bounds=(low, high),
            x_scale=np.maximum(grid[position], 0.1),
            ftol=_TOLERANCE,
            xtol=_TOLERANCE,
            gtol=_TOLERANCE,
            max_nfev=MAX_EVALUATIONS,
        )
        if solved.status > 0 and np.isfinite(solved.x).all():
            found.append((float(solved.cost), solved.x))
    if not found:
        return None, f"none of {min(STARTS, len(grid))} starts converged in {MAX_EVALUATIONS} evaluations"
    shape = min(found, key=lambda candidate: candidate[0])[1]
    return np.concatenate([linear(shape), shape]), ""


def _within(start: Floats, low: Floats, high: Floats) -> Floats:
    """`start` moved off its bounds, which the solver could not leave."""
    room = 1e-6 * (high - low)
    return np.clip(start, low + room, high - room)
