"""EASE against its definition, solved another way; its bytes; its limit."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from test_baselines import Data, same

from tfdat.errors import UserError
from tfdat.evaluation.baselines import BASELINES
from tfdat.evaluation.ease import MOST_ITEMS, check_items, ease, item_weights
from tfdat.evaluation.ranking import rank_scores, select_rows


def drawn(users=60, items=25, seed=0):
    """Random pairs, the last item of each user held out; the last item of the catalogue is read by nobody."""
    rng = np.random.default_rng(seed)
    read = np.stack([rng.permutation(items - 1)[:6] for _ in range(users)]).astype(np.int32)
    return Data(
        num_users=users,
        num_items=items,
        train_user=np.repeat(np.arange(users, dtype=np.int32), 5),
        train_item=read[:, :5].ravel(),
        test_user=np.arange(users, dtype=np.int32),
        test_item=read[:, 5],
        seen_indptr=np.arange(0, 5 * users + 1, 5),
        seen_items=read[:, :5].ravel(),
    )


def dense(data):
    matrix = np.zeros((data.num_users, data.num_items))
    matrix[data.train_user, data.train_item] = 1
    return matrix


def ridge_on_the_others(matrix, regularization):
    """Column j: the ridge regression of item j on all other items, by least squares on stacked rows.

    |x_j - X w|^2 + lambda |w|^2 with w_j = 0 is the paper's objective for one column; no inverse of X'X is formed.
    """
    items = matrix.shape[1]
    weights = np.zeros((items, items))
    for item in range(items):
        others = np.delete(np.arange(items), item)
        stacked = np.vstack([matrix[:, others], np.sqrt(regularization) * np.eye(items - 1)])
        target = np.concatenate([matrix[:, item], np.zeros(items - 1)])
        weights[others, item] = np.linalg.lstsq(stacked, target, rcond=None)[0]
    return weights


@pytest.mark.parametrize("regularization", [0.5, 20.0, 500.0])
def test_each_column_is_a_ridge_regression_on_the_other_items(regularization):
    matrix = dense(drawn())
    found = item_weights(sp.csr_matrix(matrix), regularization)
    assert found.dtype == np.float64
    assert not np.diag(found).any()
    np.testing.assert_allclose(found, ridge_on_the_others(matrix, regularization), rtol=1e-9, atol=1e-12)


def test_the_target_is_ranked_by_the_row_of_xb():
    data = drawn()
    scores = dense(data) @ ridge_on_the_others(dense(data), 10.0)
    seen = select_rows(data.seen_indptr, data.seen_items, data.test_user)
    expected = rank_scores(lambda rows: scores[rows], *scores.shape, data.test_item, *seen)
    assert same(ease(data, regularization=10.0), expected)


def test_it_repeats_to_the_bit_whatever_the_seed():
    data = drawn(200, 120)
    one, other = ease(data, 3), ease(data, 4)
    assert same(one, other)
    assert one.score_spread == other.score_spread
    matrix = sp.csr_matrix(dense(data))
    assert item_weights(matrix, 5.0).tobytes() == item_weights(matrix, 5.0).tobytes()


def test_nothing_is_warned():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BASELINES["ease"](drawn(), 0)


def test_a_catalogue_too_large_is_refused_with_the_memory_it_would_take():
    check_items(MOST_ITEMS)
    data = drawn()
    large = Data(**{**vars(data), "num_items": 30_000})
    with pytest.raises(
        UserError, match=r"7\.2 GB for 30000 items, above the limit of 20000 items \(3\.2 GB\)"
    ) as error:
        ease(large)
    assert "\n" not in str(error.value)
