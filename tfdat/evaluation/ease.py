"""EASE: the linear autoencoder with a closed form (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", 2019).

With X [U, I] the training pairs, P = (X'X + lambda I)^-1 and B = I - P diag(1 / diag P), a user's scores are the row of
XB. B minimises |X - XB|^2 + lambda |B|^2 among all matrices with a diagonal of zeros.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import lapack

from tfdat.errors import UserError
from tfdat.evaluation.ranking import RankedReplicate, rank_scores
from tfdat.evaluation.recommender import Holdout, Ranker, Recommender, alone_and_quiet, interactions_matrix
from tfdat.evaluation.sets import EvaluationSet

MOST_ITEMS = 20_000
"""Most items that EASE takes: their matrix of weights is 3.2 GB then, and grows with the square."""


@Recommender
def ease(replicate: Holdout, seed: int = 0, regularization: float = 200.0) -> Ranker:
    """The linear autoencoder with a closed form. Nothing is random: `seed` is not used.

    Args:
      replicate: what to train on and to rank.
      regularization: lambda, the weight of the squared norm of the item-item weights; the default was not tuned.

    Raises:
      UserError: there are more than `MOST_ITEMS` items.
    """
    del seed
    check_items(replicate.num_items)
    matrix = interactions_matrix(replicate).astype(np.float64)
    with alone_and_quiet():
        weights = item_weights(matrix, regularization)

    def rank(test: EvaluationSet) -> RankedReplicate:
        profiles = matrix[test.user]
        among = weights[:, test.candidates] if len(test.candidates) < replicate.num_items else weights

        def block(rows: slice) -> NDArray[np.float64]:
            return np.asarray(profiles[rows] @ among)

        return rank_scores(block, len(test), len(test.candidates), test.target, test.seen_indptr, test.seen_items)

    return rank


def check_items(items: int) -> None:
    """Refuses a catalogue whose weights are too large to hold.

    Raises:
      UserError: there are more than `MOST_ITEMS` items; the line says how much memory they would take.
    """
    if items > MOST_ITEMS:
        raise UserError(
            f"EASE holds a weight for every pair of items: {8 * items**2 / 1e9:.1f} GB for {items} items, above the "
            f"limit of {MOST_ITEMS} items ({8 * MOST_ITEMS**2 / 1e9:.1f} GB). Leave ease out of --baselines, or "
            "draw fewer items (sampling.min_item, sampling.user_fraction)."
        )


def item_weights(matrix: sp.csr_matrix[np.float64], regularization: float) -> NDArray[np.float64]:
    """B of the paper.

    Args:
      matrix: [U, I] the training pairs, X.
      regularization: lambda, above 0.

    Returns:
      [I, I] with zeros on the diagonal; column j holds the weights by which the other items give the score of item j.
    """
    # In column order and overwritten, so that LAPACK works in place: one matrix, not three.
    gram = (matrix.T @ matrix).toarray(order="F")
    diagonal = np.arange(len(gram))
    gram[diagonal, diagonal] += regularization
    # Positive definite by the diagonal, so neither step can fail; both fill the lower triangle alone.
    factor, _ = lapack.dpotrf(gram, lower=1, overwrite_a=1)
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    for column in range(len(inverse)):
        inverse[column, column + 1 :] = inverse[column + 1 :, column]
    inverse /= -inverse[diagonal, diagonal].copy()
    inverse[diagonal, diagonal] = 0.0
    return np.asarray(inverse)
