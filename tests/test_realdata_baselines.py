"""MostPop on real Amazon Books interactions gives the figures known for them. Skipped where the files are not."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tfdat.evaluation.baselines import itemknn, mostpop
from tfdat.evaluation.metrics import headline
from tfdat.kcore import k_core

FOLDER = Path(__file__).parents[2] / "shared" / "realdata" / "xrec_amazon_books"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{FOLDER} is not there")


@pytest.fixture(scope="module")
def interactions():
    """The 3-core, in codes, with days."""
    files = [pd.read_csv(FOLDER / name) for name in ("total_tst.csv", "total_val.csv")]
    frame = pd.concat(files).drop_duplicates(["user", "item"])
    assert len(frame) == 72_168
    # "01 7, 2015": the day is not padded
    frame["day"] = pd.to_datetime(frame["Time"], format="%m %d, %Y")
    codes = [np.unique(frame[name], return_inverse=True)[1] for name in ("user", "item")]
    frame = frame[k_core(*codes, 3, 3)].copy()
    for name in ("user", "item"):
        frame[name] = np.unique(frame[name], return_inverse=True)[1]
    assert (frame.user.nunique(), frame.item.nunique(), len(frame)) == (8_516, 9_026, 53_271)
    return frame


def hold_out_last(frame, tie_break):
    """Each user's last interaction by day, and by `tie_break` within a day."""
    frame = frame.iloc[np.lexsort((tie_break, frame.day, frame.user))]
    last = ~frame.duplicated("user", keep="last")
    train, test = frame[~last], frame[last]
    return SimpleNamespace(
        num_users=8_516,
        num_items=9_026,
        train_user=train.user.to_numpy(np.int32),
        train_item=train.item.to_numpy(np.int32),
        test_user=test.user.to_numpy(np.int32),
        test_item=test.item.to_numpy(np.int32),
        seen_indptr=np.concatenate([[0], np.cumsum(np.bincount(train.user, minlength=8_516))]),
        seen_items=train.item.to_numpy(np.int32),
    )


def test_mostpop_gives_the_known_figures(interactions):
    values = headline(mostpop(hold_out_last(interactions, interactions.item)).full, "mid")
    assert {name: round(value, 3) for name, value in values.items()} == {
        "hr@50": 0.030,
        "hr@100": 0.055,
        "mrr_x10": 0.051,
    }


def test_other_orders_of_same_day_items_move_mostpop_a_little(interactions):
    orders = [np.random.default_rng(seed).permutation(len(interactions)) for seed in range(10)]
    results = [headline(mostpop(hold_out_last(interactions, order)).full, "mid") for order in orders]
    for name, low, high in (("hr@50", 0.029, 0.034), ("hr@100", 0.052, 0.058), ("mrr_x10", 0.050, 0.057)):
        values = [result[name] for result in results]
        assert low < min(values) < max(values) < high, name


def test_users_with_a_tied_last_day(interactions):
    last = interactions.day == interactions.groupby("user").day.transform("max")
    assert (last.groupby(interactions.user).sum() > 1).mean() == pytest.approx(0.080, abs=0.0005)


def test_itemknn_beats_mostpop(interactions):
    data = hold_out_last(interactions, interactions.item)
    neighbours, popular = headline(itemknn(data).full, "mid"), headline(mostpop(data).full, "mid")
    assert neighbours["hr@50"] > 1.5 * popular["hr@50"]
