"""The exported SavedModel against scores computed here."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from model_batches import NUM_ITEMS, NUM_USERS, tiny_config, tiny_features
from small import SMALL_SETTINGS, small_interactions

from tfdat.backend import tf
from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.data.bootstrap import UserIndex
from tfdat.data.replicate import build_replicate
from tfdat.data.seeds import Randomness
from tfdat.model.dat import build_dat
from tfdat.model.serving import Recommender, export_recommender, recommender_of

K = 5
USERS = np.array([f"U{u:03d}" for u in range(NUM_USERS)])
ITEMS = np.array([f"item-{i:02d}" for i in range(NUM_ITEMS)])


def vectors(model):
    return model.user_vectors(), model.item_vectors()


def seen_by(user):
    """Users have seen their number of items, up to all but two; user 0 has seen nothing."""
    return np.random.default_rng(user).permutation(NUM_ITEMS)[: min(user, NUM_ITEMS - 2)]


SEEN = np.concatenate([seen_by(user) for user in range(NUM_USERS)])
INDPTR = np.concatenate([[0], np.cumsum([len(seen_by(user)) for user in range(NUM_USERS)])])


@pytest.fixture(scope="module")
def model():
    return build_dat(tiny_features(), tiny_config(), seed=3)


@pytest.fixture(scope="module")
def loaded(model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("export") / "nested" / "recommender"
    export_recommender(Recommender(*vectors(model), USERS, ITEMS, INDPTR, SEEN, k=K), directory)
    assert [path.name for path in directory.parent.iterdir()] == ["recommender"]
    return tf.saved_model.load(str(directory))


def ranked(model, user, left_out=()):
    scores = (model.item_vectors() @ model.user_vectors()[user]).astype(np.float64)
    scores[np.asarray(left_out, dtype=int)] = -np.inf
    order = np.argsort(-scores, kind="stable")[:K]
    return [str(ITEMS[i]) if np.isfinite(scores[i]) else "" for i in order], scores[order]


def test_default_signature_gives_the_best_items(model, loaded):
    users = [4, 0, 29]
    answer = loaded.signatures["serving_default"](user=tf.constant(USERS[users]))
    for row, user in enumerate(users):
        names, scores = ranked(model, user)
        assert [name.decode() for name in answer["item"][row].numpy()] == names
        np.testing.assert_allclose(answer["score"][row], scores, atol=1e-6)


def test_seen_items_are_left_out_on_demand(model, loaded):
    users = list(range(NUM_USERS))
    answer = loaded.signatures["unseen"](user=tf.constant(USERS[users]))
    for user in users:
        names, scores = ranked(model, user, seen_by(user))
        assert [name.decode() for name in answer["item"][user].numpy()] == names
        np.testing.assert_allclose(answer["score"][user], scores, atol=1e-6)
    # Two items are left for the last user.
    assert [name == b"" for name in answer["item"][NUM_USERS - 1].numpy()] == [False, False, True, True, True]


@pytest.mark.parametrize("hold_out", [True, False])
def test_nothing_that_a_user_interacted_with_is_recommended_as_unseen(hold_out):
    data = small_interactions(num_users=40, num_items=30)
    config = with_values(Config(), SMALL_SETTINGS)
    index = UserIndex.build(data.user, data.num_users)
    replicate = build_replicate(data, index, config, Randomness(1, 0), hold_out)
    trained = build_dat(replicate.features, config, seed=3)
    recommender = recommender_of(trained, replicate, data, k=30)
    users = data.user_names[replicate.user_codes]
    answers = recommender.top_unseen(tf.constant(users))["item"].numpy().astype(str)
    for user, answer in zip(users, answers, strict=True):
        known = set(data.item_names[data.item[data.user == np.flatnonzero(data.user_names == user)[0]]])
        candidates = set(data.item_names[replicate.item_codes])
        assert set(answer) - {""} == candidates - known


def test_users_of_one_name_are_refused(model):
    with pytest.raises(ValueError, match=r"sampling\.duplicates=clone"):
        Recommender(*vectors(model), np.array(["U"] * NUM_USERS), ITEMS, INDPTR, SEEN)


def test_one_user_at_a_time_gets_the_same(loaded):
    unseen = loaded.signatures["unseen"]
    together = unseen(user=tf.constant(USERS[[3, 17]]))["item"].numpy()
    alone = [unseen(user=tf.constant([name]))["item"].numpy()[0] for name in USERS[[3, 17]]]
    np.testing.assert_array_equal(together, alone)


def test_an_unknown_user_is_named(loaded):
    with pytest.raises(tf.errors.InvalidArgumentError, match="nobody"):
        loaded.signatures["serving_default"](user=tf.constant(["U001", "nobody"]))


def test_k_is_capped_by_the_catalogue(model):
    recommender = Recommender(*vectors(model), USERS, ITEMS, INDPTR, SEEN, k=1000)
    assert recommender.top(tf.constant(["U001"]))["item"].shape == (1, NUM_ITEMS)
    unseen = recommender.top_unseen(tf.constant(["U002"]))["item"].numpy()[0]
    assert (unseen == b"").sum() == 2


def test_names_that_do_not_fit_the_model_are_refused(model):
    with pytest.raises(ValueError, match=r"\(30, 20, 31\)"):
        Recommender(*vectors(model), USERS, ITEMS[:-1], INDPTR, SEEN)


def test_an_existing_folder_is_not_overwritten(model, tmp_path):
    with pytest.raises(FileExistsError, match="exists already"):
        export_recommender(Recommender(*vectors(model), USERS, ITEMS, INDPTR, SEEN), tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("scann") is not None, reason="scann is installed")
def test_scann_without_the_package_says_what_it_needs(model):
    with pytest.raises(ValueError, match="needs a scann package built for TensorFlow"):
        Recommender(*vectors(model), USERS, ITEMS, INDPTR, SEEN, index="scann")
