"""What the tests of the PyTorch twin share: one small data set, drawn whole, and the ranks of a trained model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from small import small_interactions

from tfdat.data.bootstrap import UserIndex
from tfdat.data.replicate import Replicate
from tfdat.evaluation.ranking import rank_vectors, select_rows
from tfdat.frameworks.contract import TrainedModel

STEPS = 100
WHOLE = {
    "sampling.user_fraction": 1.0,
    "sampling.replacement": False,
    "sampling.min_user": 3,
    "sampling.min_item": 3,
    "sampling.interactions": None,
}
DATA = small_interactions(num_users=300, num_items=120)
INDEX = UserIndex.build(DATA.user, DATA.num_users)


def ranked(trained: TrainedModel, replicate: Replicate) -> NDArray[np.float64]:
    """[m] mid-ranks of the test items by the trained vectors, as float32."""
    seen = select_rows(replicate.seen_indptr, replicate.seen_items, replicate.test_user)
    users, items = (side.astype(np.float32) for side in (trained.user_vectors, trained.item_vectors))
    return rank_vectors(users[replicate.test_user], items, replicate.test_item, *seen).full.mid
