from __future__ import annotations

import numpy as np
import pytest
from small import SMALL_SETTINGS, small_interactions

from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.data.bootstrap import UserIndex
from tfdat.data.replicate import build_replicate
from tfdat.data.seeds import Randomness
from tfdat.frameworks.batches import EpochBatches, batches, steps

DATA = small_interactions()
CONFIG = with_values(Config(), SMALL_SETTINGS)


def replicate(**changes):
    config = with_values(CONFIG, changes)
    made = build_replicate(DATA, UserIndex.build(DATA.user, DATA.num_users), config, Randomness(7, 0))
    return made, config


def keys(pairs):
    return sorted(zip(pairs.user.tolist(), pairs.item.tolist(), pairs.label.tolist(), strict=True))


def test_an_epoch_is_a_permutation_of_the_training_pairs():
    made, config = replicate()
    source = EpochBatches(made, config)
    first, second = source.pairs(0), source.pairs(1)
    assert keys(first) == keys(second) == keys(made.train)
    assert not np.array_equal(first.item, second.item)
    np.testing.assert_array_equal(source.pairs(1).item, second.item)


def test_negatives_are_redrawn_for_the_same_users():
    made, config = replicate(**{"negatives.resample": "epoch"})
    source = EpochBatches(made, config)
    first, second = source.pairs(0), source.pairs(1)
    assert keys(first) == keys(made.train)
    for label, same in ((1, True), (0, False)):
        one, two = (
            sorted(zip(p.user[p.label == label], p.item[p.label == label], strict=True)) for p in (first, second)
        )
        assert [user for user, _ in one] == [user for user, _ in two]
        assert (one == two) is same


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_pieces_put_together_are_the_batch(parts):
    pairs = replicate()[0].train.take(np.arange(101))
    whole = list(batches(pairs, 20))
    pieces = list(batches(pairs, 20, parts))
    assert len(whole) == steps(pairs, 20) == 6
    assert len(pieces) == 6 * parts
    for i, batch in enumerate(whole):
        group = pieces[i * parts : (i + 1) * parts]
        for name, values in batch.items():
            np.testing.assert_array_equal(np.concatenate([piece[name] for piece in group]), values)
        assert max(len(piece["user"]) for piece in group) - min(len(piece["user"]) for piece in group) <= 1
