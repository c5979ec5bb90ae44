"""The synthetic twin's graph of users and items: its degrees, its ends, and the tastes in it."""

import numpy as np
import pytest
from amazon_books import synthetic
from amazon_books.synthetic.catalogue import CALIBRATION, make_catalogue
from amazon_books.synthetic.graph import Line, draw_items, trade_repeats
from amazon_books.synthetic.reviews import Reviews, make_reviews
from amazon_books.synthetic.shape import generator, make_shape
from hypothesis import given, settings
from hypothesis import strategies as st
from implicit.nearest_neighbours import CosineRecommender
from numpy.typing import NDArray
from scipy import sparse

from tfdat.kcore import k_core

SCALE = 0.01


def _final(reviews: Reviews, seed: int, scale: float) -> NDArray[np.int64]:
    """Rows of Final, from what the twin knows of its books: as the real build, without files."""
    catalogue = make_catalogue(make_shape(scale), seed, CALIBRATION)
    category = catalogue.category[: catalogue.reviewed]
    named = np.any([catalogue.named[year][: catalogue.reviewed] >= 0 for year in catalogue.named], axis=0)
    priced = np.any([catalogue.cents[year][: catalogue.reviewed] >= 0 for year in catalogue.cents], axis=0)
    top = np.argsort(-np.bincount(category[reviews.item][named[reviews.item]]))[:11]
    assert sorted(top) == list(range(11))
    rows = np.flatnonzero((named & priced & np.isin(category, top))[reviews.item])
    return rows[k_core(reviews.user[rows], reviews.item[rows], 5, 5)]


@pytest.mark.parametrize("seed", [0, 1])
def test_there_is_taste_to_learn(seed: int) -> None:
    """HR@50 on each user's last item, all items candidates: ItemKNN > 2 * MostPop > 10 * chance."""
    shape = make_shape(synthetic.DEFAULT_SCALE)
    layout = make_catalogue(shape, seed, CALIBRATION).layout
    reviews = make_reviews(shape, layout, CALIBRATION.tastes, seed)
    rows = _final(reviews, seed, synthetic.DEFAULT_SCALE)
    user = np.unique(reviews.user[rows], return_inverse=True)[1]
    item = np.unique(reviews.item[rows], return_inverse=True)[1]
    order = np.lexsort([np.random.default_rng(0).random(len(rows)), reviews.day[rows], user])
    user, item = user[order], item[order]
    last = np.append(user[1:] != user[:-1], True)
    shape_of = (user.max() + 1, item.max() + 1)
    train = sparse.csr_matrix((np.ones((~last).sum(), np.float32), (user[~last], item[~last])), shape_of)
    popular = np.argsort(-np.asarray(train.sum(axis=0))[0], kind="stable")[:50]
    most_popular = np.isin(item[last], popular).mean()
    neighbours = CosineRecommender(K=200, num_threads=1)
    neighbours.fit(train, show_progress=False)
    lists, _ = neighbours.recommend(np.arange(shape_of[0]), train, N=50, filter_already_liked_items=False)
    item_knn = (lists == item[last][:, None]).any(axis=1).mean()
    assert item_knn > 2 * most_popular
    assert most_popular > 5 * 50 / shape_of[1]


# The graph


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(20, 60), st.integers(25, 60))
def test_trades_end_repeats_and_keep_degrees(seed: int, users: int, items: int) -> None:
    rng = np.random.default_rng(seed)
    user = np.sort(rng.integers(0, users, users * 6)).astype(np.int32)
    item = np.minimum(rng.geometric(0.08, len(user)) - 1, items - 1).astype(np.int32)
    before = np.bincount(item, minlength=items)
    if before.max() > users // 2 or np.bincount(user).max() > items // 2:
        return
    trade_repeats(user, item, rng.permutation(len(user)), items, rng)
    assert len(np.unique(user.astype(np.int64) * items + item)) == len(user)
    assert (np.bincount(item, minlength=items) == before).all()


def test_readers_keep_to_their_subgenre() -> None:
    """Two users of one taste share more items than their popularity explains."""
    shape = make_shape(SCALE)
    layout = make_catalogue(shape, 0, CALIBRATION).layout
    item = draw_items(shape.user_degree, layout.line, CALIBRATION.tastes, generator(0, "graph"))
    assert (np.bincount(item) == layout.line.degree).all()
    user = np.repeat(np.arange(len(shape.user_degree)), shape.user_degree)
    same = np.diff(user) == 0
    together = (np.diff(layout.subgenre[item]) == 0)[same].mean()
    share = np.bincount(layout.subgenre[item]) / len(item)
    assert together > 5 * (share**2).sum()


def test_a_line_without_room_is_an_error() -> None:
    """Six reviews by one user of five items: some pair must repeat."""
    line = Line(np.array([2, 1, 1, 1, 1]), (np.array([0, 6]),) * 3)
    with pytest.raises(RuntimeError, match="still repeated after 200 rounds"):
        draw_items(np.array([6]), line, CALIBRATION.tastes, np.random.default_rng(0))
