"""The two-way bootstrap against its exact variance, against simulated data, and as a command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from run_directory import write_run

from tfdat import results as runs_of
from tfdat.cli import run_command
from tfdat.compare import main
from tfdat.errors import UserError
from tfdat.evaluation.ranking import Ranks
from tfdat.statistics.pigeonhole import Of, Rows, resample
from tfdat.statistics.users_items import WAYS, PerUser, check

Codes = NDArray[np.int64]


def exact_se(user: Codes, item: Codes, values: NDArray[np.float64], of: Of) -> float:
    """The standard error that infinitely many resamples give, by the moments of the multinomial weights.

    E[w_a w_b] = 1 - 1/n + (a == b) for the counts of n equally likely draws; the mean is linearised.
    """
    moment = np.ones((len(values), len(values)))
    for codes in {"users": [user], "items": [item], "users-items": [user, item]}[of]:
        moment *= 1 - 1 / len(np.unique(codes)) + (codes[:, None] == codes[None])
    centred = values - values.mean()
    return float(np.sqrt(centred @ (moment - 1) @ centred) / len(values))


def crossed(rng: np.random.Generator, users: int, items: int, effects: tuple[float, float, float]) -> Rows:
    """One row per user with a random item: effects of users, of items and of rows have these standard deviations."""
    user, item = np.arange(users), rng.integers(items, size=users)
    by_user, by_item, noise = (rng.normal(0, sd, size) for sd, size in zip(effects, (users, items, users), strict=True))
    return Rows(user, item, np.zeros(users, dtype=int), (by_user + by_item[item] + noise)[:, None])


@pytest.mark.parametrize("of", WAYS)
def test_the_standard_error_is_the_exact_one(of: Of) -> None:
    rng = np.random.default_rng(0)
    user, item = rng.integers(60, size=400), rng.integers(80, size=400)
    values = rng.normal(0, 1, 60)[user] + rng.normal(0, 1, 80)[item] + rng.normal(0, 1, 400)
    found = resample(Rows(user, item, np.zeros(400, dtype=int), values[:, None]), of, rng, 4_000)
    assert found.se[0] == pytest.approx(exact_se(user, item, values, of), rel=0.05)
    assert found.mean[0] == pytest.approx(values.mean())


def test_intervals_cover_where_items_matter_and_those_of_users_alone_do_not() -> None:
    rng = np.random.default_rng(1)
    covered: dict[Of, list[bool]] = {way: [] for way in WAYS}
    for _ in range(200):
        rows = crossed(rng, users=300, items=40, effects=(0.3, 1.0, 0.3))
        for way, hits in covered.items():
            found = resample(rows, way, rng, 200)
            hits.append(bool(found.low[0] <= 0 <= found.high[0]))
    shares = {way: np.mean(hits) for way, hits in covered.items()}
    assert shares["users"] < 0.75  # items are taken for given
    assert 0.84 < shares["items"] <= 1  # 40 clusters: somewhat too narrow
    assert 0.88 < shares["users-items"] <= 1


def test_the_noise_of_single_rows_is_counted_three_times_at_most() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(0, 1, 500)
    rows = Rows(np.arange(500), np.arange(500), np.zeros(500, dtype=int), values[:, None])
    alone, both = (resample(rows, way, np.random.default_rng(3), 3_000).se[0] for way in ("users", "users-items"))
    assert alone == pytest.approx(values.std() / np.sqrt(500), rel=0.05)
    assert 1.6 < both / alone < 1.8  # the square root of three


def test_a_replicate_is_averaged_before_replicates_are() -> None:
    rows = Rows(np.arange(4), np.arange(4), np.array([0, 0, 0, 1]), np.array([[0.0], [0.0], [1.0], [1.0]]))
    assert resample(rows, "users", np.random.default_rng(0), 10).mean[0] == pytest.approx((1 / 3 + 1) / 2)


def test_the_same_seed_gives_the_same_bytes_and_no_rows_are_an_error() -> None:
    rows = crossed(np.random.default_rng(4), 50, 10, (1, 1, 1))
    one, other = (resample(rows, "users-items", np.random.default_rng(5), 50) for _ in range(2))
    assert one.low.tobytes() == other.low.tobytes()
    empty = np.zeros(0, dtype=int)
    with pytest.raises(ValueError, match="There should be rows"):
        resample(Rows(empty, empty, empty, np.zeros((0, 1))), "users", np.random.default_rng(0))


def per_user(number: int, ranks: list[int], users: list[int]) -> PerUser:
    rank = np.array(ranks, dtype=np.int32)
    return PerUser(number, Ranks(rank, rank), np.array(users), np.array(users) + 100)


def test_means_and_differences_are_those_of_the_hits() -> None:
    one = [per_user(0, [1, 60, 200], [0, 1, 2]), per_user(1, [1, 1], [0, 3])]
    other = [per_user(0, [200, 200, 1], [0, 1, 2]), per_user(1, [200, 70], [0, 3])]
    found = {(c.left, c.right, c.metric): c.mean for c in check({"a": one, "b": other}, [("a", "b")], "mid", None, 20)}
    assert found["a", None, "hr@50"] == pytest.approx((1 / 3 + 1) / 2)
    assert found["b", None, "hr@100"] == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert found["a", "b", "hr@50"] == pytest.approx((1 / 3 + 1) / 2 - (1 / 3 + 0) / 2)
    with pytest.raises(UserError, match="were not tested on the same items"):
        check({"a": one, "b": one[:1]}, [], "mid")


def with_items(root: Path) -> Path:
    run = write_run(root)
    for path in run.glob("replicates/*/*.npz"):
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        shared = np.random.default_rng(int(path.stem))
        codes = {"test_user": np.arange(len(arrays["optimistic"])), "test_item": shared.integers(90, size=300)}
        np.savez(path, **arrays, **codes)
    return run


def test_the_command_shows_every_model_and_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = with_items(tmp_path / "run")
    assert run_command(main, [str(run), "--check", "users-items", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 3 * (5 + 9)  # metrics of five models, and of five pairs of the 2x2 and four with MostPop
    for row in rows:
        assert row["ci95_items"][0] <= row["mean"] <= row["ci95_items"][1]
    assert run_command(main, [str(run), "--check", "users-items"]) == 0
    shown = capsys.readouterr().out
    assert "DAT - DAT w/o CAL" in shown
    assert "users x items" in shown
    assert run_command(main, [str(run), "--check", "users-items", "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split(",")[-2:] == ["ci95_users_items_low", "ci95_users_items_high"]


def test_what_the_command_lacks_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, none = write_run(tmp_path / "old", replicates=1), write_run(tmp_path / "none", arrays=False)
    for arguments, message in (
        ([str(old)], "has no test_user, test_item: an older version of tfdat made it"),
        ([str(none)], "holds no ranks of single users of dat"),
        ([str(none / "results.json")], "needs a run directory"),
        ([str(old), str(none)], "is about one run"),
    ):
        assert run_command(main, [*arguments, "--check", "users-items"]) == 2
        assert message in capsys.readouterr().err


def test_a_run_is_a_data_frame(tmp_path: Path) -> None:
    run = runs_of.load(write_run(tmp_path / "run"))
    frame = run.to_frame()
    assert list(frame.columns) == ["model", "kind", "metric", "masked", "replicate", "replicate_id", "value"]
    assert len(frame) == 6 * 3 * 4
    means = frame.groupby(["model", "metric"]).value.mean()
    for name, variant in (run.results.variants | run.results.baselines).items():
        for key, estimate in variant.metrics.items():
            assert means[name, key] == pytest.approx(estimate.mean)
    assert set(frame[frame.kind == "baseline"].model) == {"chance", "mostpop"}
    stated = tmp_path / "x.json"
    stated.write_text(
        '{"framework": "x", "variants": {"dat": {"metrics": {"hr@50": {"mean": 0.1, "sd": 0.1, "n": 3}}}}}'
    )
    (row,) = runs_of.load(stated).to_frame().itertuples()
    assert (row.model, row.metric, row.value, row.replicate_id) == ("dat", "hr@50", 0.1, None)
