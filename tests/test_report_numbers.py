"""The numbers behind the report's figures, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_directory import ITEMS

from tfdat.report import curves
from tfdat.report.run_data import StoredReplicate
from tfdat.statistics.factorial import two_by_two
from tfdat.statistics.results_file import parse


def replicate(**arrays: Any) -> StoredReplicate:
    return StoredReplicate(candidates=ITEMS, arrays={key: np.asarray(array) for key, array in arrays.items()})


def test_hit_rates_are_expected_shares_and_end_at_one() -> None:
    optimistic = np.random.default_rng(0).integers(1, ITEMS, 500)
    pessimistic = np.minimum(optimistic + 2, ITEMS)
    curve = curves.hit_rates([replicate(optimistic=optimistic, pessimistic=pessimistic)])
    among = [np.clip((k - optimistic + 1) / (pessimistic - optimistic + 1), 0, 1) for k in curve.x]
    assert curve.mean == pytest.approx([share.mean() for share in among])
    assert (curve.x[0], curve.x[-1], curve.mean[-1]) == (1, ITEMS, pytest.approx(1, abs=1e-12))


def test_histories_of_different_length_are_averaged_over_those_that_still_train() -> None:
    records = [
        StoredReplicate(history={"loss": [3.0, 2.0]}),
        StoredReplicate(history={"loss": [1.0]}),
        StoredReplicate(),
    ]
    curve = curves.mean_history(records, "loss")
    assert curve.mean.tolist() == [2.0, 2.0]
    assert curve.sd == pytest.approx([2**0.5, 0])
    assert curve.count.tolist() == [2, 1]
    assert curves.epochs_trained(records).tolist() == [2, 1]


def test_shares_sum_to_one_and_uniform_ranks_are_flat() -> None:
    ranks = np.arange(1, ITEMS + 1)
    flat = curves.rank_shares([replicate(optimistic=ranks, pessimistic=ranks)])
    assert flat.mean == pytest.approx(np.full(20, 0.05))
    records = [replicate(test_popularity=[0, 1, 50], recommended_popularity=[[0, 5], [3, 2], [200, 1]])]
    edges = curves.popularity_edges(records)
    assert edges[0] == 0
    assert edges[-1] > 200
    assert curves.read_popularity(records, edges).mean.sum() == pytest.approx(1)
    shown = curves.recommended_popularity(records, edges).mean
    assert shown.sum() == pytest.approx(1)
    assert shown[0] == pytest.approx(5 / 8)


def test_covariance_distances_by_hand() -> None:
    matrices = np.array([np.zeros((2, 2)), np.diag([3.0, 4.0]), np.diag([3.0, 4.0]), np.full((2, 2), np.nan)])
    distances = curves.covariance_distances([replicate(covariance_after=matrices)], "covariance_after")
    assert distances[:3] == pytest.approx([5, 2.5, 2.5])
    assert np.isnan(distances[3])


def test_two_by_two_by_hand() -> None:
    cells = {
        "dat": [0.10, 0.12, 0.11],
        "dat-no-cal": [0.08, 0.09, 0.10],
        "dat-no-amm": [0.07, 0.07, 0.08],
        "two-tower": [0.06, 0.06, 0.06],
    }
    variants = {name: {"metrics": {"hr@50": {"values": values}}} for name, values in cells.items()}
    (table,) = two_by_two(parse({"framework": "x", "variants": variants}))
    means = {name: np.mean(values) for name, values in cells.items()}
    assert table.effects["CAL"].difference == pytest.approx(
        ((means["dat"] - means["dat-no-cal"]) + (means["dat-no-amm"] - means["two-tower"])) / 2
    )
    assert table.effects["AMM"].difference == pytest.approx(
        ((means["dat"] - means["dat-no-amm"]) + (means["dat-no-cal"] - means["two-tower"])) / 2
    )
    assert table.effects["both beyond the sum"].difference == pytest.approx(
        (means["dat"] - means["dat-no-cal"]) - (means["dat-no-amm"] - means["two-tower"])
    )
    assert table.effects["CAL"].df == 2
    del variants["two-tower"]
    assert two_by_two(parse({"framework": "x", "variants": variants})) == []


def test_two_by_two_pairs_replicates_by_name() -> None:
    def variant(names: str, values: list[float]) -> dict[str, Any]:
        return {"metrics": {"hr@50": {"values": values}}, "replicate_ids": list(names)}

    variants = {
        "dat": variant("abc", [0.1, 0.2, 0.3]),
        "dat-no-cal": variant("cba", [0.25, 0.15, 0.05]),
        "dat-no-amm": variant("abc", [0.1, 0.2, 0.3]),
        "two-tower": variant("xbc", [0.9, 0.15, 0.25]),
    }
    (table,) = two_by_two(parse({"framework": "x", "variants": variants}))
    assert table.effects["CAL"].difference == pytest.approx(0.05)
    assert table.effects["CAL"].se == 0
