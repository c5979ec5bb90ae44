"""The baselines of every model besides chance: the most popular items, and four classics.

ItemKNN, ALS and BPR come from the `implicit` package (extra `baselines`). They train on the same pairs, with one
thread and a fixed seed, so that they repeat to the bit, and are ranked as the models are. Their settings come from a
small grid on two sparse sets of real Amazon reviews (Books and Digital Music, 3-cores), by HR@100 on each user's last
*training* item; no test item was looked at. EASE needs no package (`ease.py`).
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tfdat.errors import UserError, shortened
from tfdat.evaluation.ease import check_items, ease
from tfdat.evaluation.parameters import (
    BaselineSettings,
    Searched,
    Value,
    float_range,
    int_range,
    one_of,
    parsed_settings,
)
from tfdat.evaluation.ranking import RankedReplicate, rank_scores, rank_shared_scores, rank_vectors
from tfdat.evaluation.recommender import Holdout, Ranker, Recommender, alone_and_quiet, interactions_matrix
from tfdat.evaluation.sets import EvaluationSet


@Recommender
def mostpop(replicate: Holdout, seed: int = 0) -> Ranker:
    """The same list for everyone: items by their number of training pairs. Nothing is random: `seed` is not used."""
    del seed
    popularity = np.bincount(replicate.train_item, minlength=replicate.num_items).astype(np.float64)

    def rank(test: EvaluationSet) -> RankedReplicate:
        return rank_shared_scores(popularity[test.candidates], test.target, test.seen_indptr, test.seen_items)

    return rank


@Recommender
def itemknn(replicate: Holdout, seed: int = 0, neighbors: int = 200) -> Ranker:
    """Item-based nearest neighbours: the summed cosine of a candidate with the user's training items.

    Nothing is random: `seed` is not used.

    Args:
      replicate: what to train on and to rank.
      neighbors: neighbours kept for each item, itself included.

    Raises:
      UserError: `implicit` is not installed.
    """
    del seed
    matrix = interactions_matrix(replicate)
    with alone_and_quiet():
        model = _implicit("nearest_neighbours").CosineRecommender(K=min(neighbors, replicate.num_items), num_threads=1)
        model.fit(matrix, show_progress=False)

    def rank(test: EvaluationSet) -> RankedReplicate:
        profiles = matrix[test.user].astype(np.float64)
        similarity = sp.csr_matrix(sp.csr_matrix(model.similarity)[:, test.candidates])

        def block(rows: slice) -> NDArray[np.float64]:
            return np.asarray((profiles[rows] @ similarity).toarray())

        return rank_scores(block, len(test), len(test.candidates), test.target, test.seen_indptr, test.seen_items)

    return rank


@Recommender
def als(
    replicate: Holdout,
    seed: int = 0,
    factors: int = 128,
    regularization: float = 100.0,
    alpha: float = 40.0,
    iterations: int = 15,
) -> Ranker:
    """Implicit-feedback matrix factorisation by alternating least squares (Hu, Koren, Volinsky, ICDM 2008).

    Args:
      replicate: what to train on and to rank.
      seed: of the initial factors.
      factors: dimension of the factors.
      regularization: weight of the squared norm of the factors.
      alpha: confidence of a training pair, that of all other pairs being 1; 40 is the authors' choice.
      iterations: alternations.

    Raises:
      UserError: `implicit` is not installed.
    """
    with alone_and_quiet():
        model = _implicit("cpu.als").AlternatingLeastSquares(
            factors=factors,
            regularization=regularization,
            alpha=alpha,
            iterations=iterations,
            num_threads=1,
            random_state=seed,
        )
        model.fit(interactions_matrix(replicate), show_progress=False)
    return _factors(model)


@Recommender
def bpr(
    replicate: Holdout,
    seed: int = 0,
    factors: int = 128,
    learning_rate: float = 0.1,
    regularization: float = 0.05,
    iterations: int = 200,
) -> Ranker:
    """Matrix factorisation by Bayesian personalised ranking, with an item bias (Rendle et al., UAI 2009).

    Args:
      replicate: what to train on and to rank.
      seed: of the initial factors and the draws.
      factors: dimension of the factors.
      learning_rate: of the stochastic gradient descent.
      regularization: weight of the squared norm of the factors.
      iterations: passes over as many draws as there are training pairs.

    Raises:
      UserError: `implicit` is not installed.
    """
    with alone_and_quiet():
        model = _implicit("cpu.bpr").BayesianPersonalizedRanking(
            factors=factors,
            learning_rate=learning_rate,
            regularization=regularization,
            iterations=iterations,
            num_threads=1,
            random_state=seed,
        )
        model.fit(interactions_matrix(replicate), show_progress=False)
    return _factors(model)


@dataclasses.dataclass(frozen=True)
class Baseline:
    """An entry of `BASELINES`.

    Attributes:
      key: its name on the command line and in files.
      label: its name in print.
      recommender: what trains it and ranks.
      package: what it needs beyond tfdat's own dependencies, by the name it is imported by, or None.
      requirement: what pip is asked for, with `package`.
      searched: the settings that a sweep searches; without them it cannot be tuned.
      check_items: refuses a number of items that it cannot take, before anything is trained.
    """

    key: str
    label: str
    recommender: Recommender
    package: str | None = None
    requirement: str = ""
    searched: tuple[Searched, ...] = ()
    check_items: Callable[[int], None] = lambda _: None

    def fit(self, replicate: Holdout, seed: int, settings: Mapping[str, Value] = MappingProxyType({})) -> Ranker:
        """Trains on `replicate` with `settings`, the others as by default."""
        return self.recommender.fit(replicate, seed, **settings)

    def __call__(self, replicate: Holdout, seed: int) -> RankedReplicate:
        """Trains on `replicate` and ranks its test items among all items."""
        return self.recommender(replicate, seed)

    def require(self) -> None:
        """Raises UserError where the package that it needs is not installed."""
        if self.package is not None:
            _imported(self.package, self.requirement)


_IMPLICIT = ("implicit", "implicit>=0.7.2,<0.8")

_FACTORS = one_of("factors", (16, 32, 64, 128, 256), "room for taste; few interactions per user cannot fill much")

BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        baseline.key: baseline
        for baseline in (
            Baseline("mostpop", "MostPop", mostpop),
            Baseline(
                "itemknn",
                "ItemKNN",
                itemknn,
                *_IMPLICIT,
                searched=(int_range("neighbors", 5, 2000, "few keep the similar ones, many reach rare items"),),
            ),
            Baseline(
                "als",
                "ALS",
                als,
                *_IMPLICIT,
                searched=(
                    _FACTORS,
                    float_range("regularization", 0.01, 1000.0, "sparse data need much more than the package's .01"),
                    float_range("alpha", 0.5, 100.0, "the confidence of a pair; 40 is the authors' choice"),
                    int_range("iterations", 5, 50, "stopping early regularises too"),
                ),
            ),
            Baseline(
                "bpr",
                "BPR",
                bpr,
                *_IMPLICIT,
                searched=(
                    _FACTORS,
                    float_range("learning_rate", 0.005, 0.5, "step of the gradient descent"),
                    float_range("regularization", 0.0005, 0.5, "too little learns the training pairs by heart"),
                    int_range("iterations", 20, 500, "passes; trades off against the learning rate"),
                ),
            ),
            Baseline(
                "ease",
                "EASE",
                ease,
                searched=(float_range("regularization", 1.0, 5000.0, "its only setting"),),
                check_items=check_items,
            ),
        )
    }
)
"""Every baseline that is trained, by its key. MostPop stands in every run; chance is computed, see `metrics.chance`."""


def check_baselines(names: Iterable[str]) -> None:
    """Fails before hours of training for what would fail after them.

    Raises:
      UserError: a name is not in `BASELINES`, or a package that it needs is not installed.
    """
    for name in names:
        if name not in BASELINES:
            raise UserError(f"Unknown baseline {shortened(name)}. Known: {', '.join(BASELINES)}.")
        BASELINES[name].require()


def chosen_baselines(names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that are to be trained, checked; chance stands in every table by itself.

    Raises:
      UserError: as `check_baselines`.
    """
    chosen = tuple(name for name in names if name != "chance")
    check_baselines(chosen)
    return chosen


def chosen_settings(texts: Iterable[str], names: Iterable[str], with_defaults: bool = False) -> BaselineSettings:
    """The `--baseline-set` texts for the baselines `names`; see `parsed_settings`.

    Raises:
      UserError: as `parsed_settings`.
    """
    return parsed_settings(texts, {name: BASELINES[name].recommender for name in names}, with_defaults)


def _imported(module: str, requirement: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".", maxsplit=1)[0]
        if error.name and error.name.split(".")[0] == package:
            users = ", ".join(key for key, baseline in BASELINES.items() if baseline.package == package)
            raise UserError(
                f"The package {package} is not installed; baselines that need it: {users}. pip install '{requirement}'"
            ) from None
        raise


def _implicit(module: str) -> Any:
    return _imported(f"implicit.{module}", _IMPLICIT[1])


def _factors(model: Any) -> Ranker:
    def rank(test: EvaluationSet) -> RankedReplicate:
        return rank_vectors(
            model.user_factors[test.user],
            model.item_factors[test.candidates],
            test.target,
            test.seen_indptr,
            test.seen_items,
        )

    return rank
