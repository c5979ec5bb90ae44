from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from runs import contents, settings, train, write_csv

from tfdat.cli import run_command
from tfdat.statistics.results_file import read
from tfdat.train import decisions_text, main


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    return write_csv(tmp_path_factory.mktemp("data") / "small.csv")


@pytest.fixture(scope="module")
def run(csv, tmp_path_factory):
    """Two replicates of all four variants, by two workers."""
    out = tmp_path_factory.mktemp("run") / "run"
    done = train(
        *("--data", csv, "--out", out, "--replicates", "2", "--workers", "2", "--progress", "plain"),
        *("--variants", "dat,dat-no-cal,dat-no-amm,two-tower", "--baselines", "itemknn", *settings()),
    )
    return out, done


def test_the_table_has_every_model_beside_chance_and_mostpop(run):
    _, done = run
    for row in ("DAT ", "DAT w/o CAL", "DAT w/o AMM", "Two-tower", "chance", "MostPop", "ItemKNN", "candidates"):
        assert row in done.stdout
    assert "not compared with the papers" in done.stdout


def test_the_run_directory_holds_what_the_design_says(run):
    out, _ = run
    results = json.loads((out / "results.json").read_text())
    assert results["schema_version"] == 1
    assert results["framework"].startswith("tensorflow 2.")
    assert set(results["variants"]) == {"dat", "dat-no-cal", "dat-no-amm", "two-tower"}
    assert set(results["baselines"]) == {"chance", "mostpop", "itemknn"}
    assert results["counts"]["tied_last_days"]["sum"] > 0
    assert read(out).variants["dat"].count == 2
    record = json.loads((out / "replicates" / "dat" / "001.json").read_text())
    assert {"loss", "prediction", "mimic_user", "mimic_item", "alignment", "val_loss"} <= set(record["history"])
    assert all(len(values) == record["epochs"] for values in record["history"].values())
    with np.load(out / "replicates" / "dat" / "001.npz", allow_pickle=False) as arrays:
        middle = (arrays["optimistic"].astype(float) + arrays["pessimistic"]) / 2
        assert np.mean(middle <= 50) == pytest.approx(record["metrics"]["hr@50"])
        assert 10 * np.mean(1 / middle) == pytest.approx(record["metrics"]["mrr_x10"])
        assert (arrays["optimistic_masked"] <= arrays["optimistic"]).all()
        assert arrays["covariance_after"].shape == (4, 8, 8)
        assert arrays["recommended_popularity"][:, 1].sum() == len(middle) * min(100, record["candidates"])
    assert any((out / "events" / "dat" / "001").glob("events.out.tfevents*"))
    assert not list(out.rglob("*.tmp"))


def test_variants_share_draws_and_differ_in_what_they_leave_out(run):
    out, _ = run
    records = {
        v: json.loads((out / f"replicates/{v}/000.json").read_text()) for v in ("dat", "dat-no-cal", "two-tower")
    }
    assert len({json.dumps(record["counts"]) for record in records.values()}) == 1
    assert records["dat"]["history"]["alignment"][0] > 0
    assert set(records["dat-no-cal"]["history"]["alignment"]) == {0.0}
    assert set(records["two-tower"]["history"]["mimic_user"]) == {0.0}


def test_one_worker_and_a_shard_give_the_same_bytes(run, csv, tmp_path):
    out, _ = run
    common = ("--data", csv, "--out", tmp_path / "again", "--workers", "1", "--replicates", "2")
    rest = ("--variants", "dat,dat-no-cal,dat-no-amm,two-tower", "--baselines", "itemknn", *settings())
    first = train(*common, "--shard", "2/2", *rest)
    assert "Finished shard 2/2" in first.stdout
    assert not (tmp_path / "again" / "results.json").exists()
    train(*common, *rest)
    assert contents(out) == contents(tmp_path / "again")


def test_a_finished_run_is_not_trained_again(run, csv):
    out, first = run
    before = contents(out)
    started = time.monotonic()
    again = train(
        *("--data", csv, "--out", out, "--replicates", "2", "--variants", "dat,dat-no-cal,dat-no-amm,two-tower"),
        *("--baselines", "itemknn", *settings()),
    )
    assert time.monotonic() - started < 30
    assert contents(out) == before
    assert again.stdout.splitlines()[-3:] == first.stdout.splitlines()[-3:]


def test_another_configuration_in_the_same_folder_is_refused(run, csv):
    out, _ = run
    refused = train("--data", csv, "--out", out, *settings(model__bias="learned"), check=False)
    assert refused.returncode == 2
    assert "model.bias is 'none' there and 'learned' here" in refused.stderr


def test_what_is_missing_is_trained_and_nothing_else(run, csv, tmp_path):
    out, _ = run
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    (copy / "results.json").unlink()
    (copy / "replicates" / "dat" / "001.json").unlink()
    kept = (copy / "replicates" / "two-tower" / "000.json").stat().st_mtime_ns
    train(
        *("--data", csv, "--out", copy, "--replicates", "2", "--variants", "dat,dat-no-cal,dat-no-amm,two-tower"),
        *("--baselines", "itemknn", *settings()),
    )
    assert contents(copy) == contents(out)
    assert (copy / "replicates" / "two-tower" / "000.json").stat().st_mtime_ns == kept


def test_a_diverged_replicate_is_told_left_out_and_counted(csv, tmp_path):
    done = train(
        *("--data", csv, "--out", tmp_path / "run", "--replicates", "1", "--variants", "two-tower"),
        *settings(training__learning_rate="1e38", training__schedule="none", model__dense_init="keras"),
        check=False,
    )
    assert done.returncode == 1
    assert "two-tower 000 failed: DivergedError" in done.stderr
    assert "trying once more" in done.stderr
    assert (tmp_path / "run" / "failures" / "two-tower" / "000.json").is_file()
    assert "Traceback" not in done.stderr


def test_ctrl_c_says_what_is_saved(csv, tmp_path):
    command = [
        sys.executable,
        "-m",
        "tfdat.train",
        "--data",
        str(csv),
        "--out",
        str(tmp_path / "run"),
        "--progress",
        "plain",
    ]
    command += ["--replicates", "30", "--variants", "two-tower", *settings(training__epochs=500)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        while not list(tmp_path.glob("run/replicates/*/*.json")):
            assert process.poll() is None
            time.sleep(0.2)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - started < 5
    assert process.returncode == 130
    assert "the same command goes on from there" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "cornelise"], "Did you mean cornelisse2024"),
        (["--variants", "dat,cat"], "Unknown variant 'cat'"),
        (["--baselines", "svd"], "Unknown baseline 'svd'"),
        (["--data", "netflix/final"], "Unknown data 'netflix/final'"),
        (["--data", "absent.csv"], "absent.csv"),
        (["--replicates", "0"], "--replicates should be a positive integer"),
        (["--workers", "-1"], "--workers should be a positive integer"),
        (["--shard", "3/2"], "1 <= K <= N"),
        (["--set", "model.temprature=1"], "Did you mean model.temperature"),
        (["--nonsense"], "--nonsense"),
        (["--strategy", "multiworker"], "TF_CONFIG"),
        (["--merge", "absent"], "not a run directory"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, message, capsys, monkeypatch, tmp_path, csv):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    data = [] if "--data" in arguments else ["--data", str(csv)]
    assert run_command(main, [*arguments, *data]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_data_too_small_for_the_window_say_what_to_change(csv, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_command(main, ["--data", str(csv), "--set", "sampling.interactions=58000,65000"]) == 2
    error = capsys.readouterr().err
    assert "never 58,000 to 65,000" in error
    assert "sampling.interactions=none" in error
    assert list(tmp_path.iterdir()) == []


def test_missing_raw_files_are_named_with_their_address(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manual = tmp_path / "manual"
    manual.mkdir()
    assert (
        run_command(main, ["--data", "amazon_books/final", "--data-dir", str(tmp_path), "--manual-dir", str(manual)])
        == 2
    )
    error = capsys.readouterr().err
    assert "reviews_Books_5.json.gz" in error
    assert str(manual) in error
    assert "snap.stanford.edu" in error
    assert error.count("\n") == 1


def test_a_file_without_item_id(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("user_id,when\n1,2\n")
    assert run_command(main, ["--data", "a.csv"]) == 2
    assert "item_id" in capsys.readouterr().err


def test_keras_3_imported_before_is_one_line():
    code = (
        "import os; os.environ['TF_USE_LEGACY_KERAS'] = '0'; import tensorflow, sys\n"
        "from tfdat.cli import run_command\n"
        "def main(argv):\n    import tfdat.backend\n    return 0\n"
        "sys.exit(run_command(main, []))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "TF_USE_LEGACY_KERAS=1" in lines[0]
    assert "Traceback" not in done.stderr


def test_help_teaches_and_needs_no_tensorflow():
    code = (
        "import sys; from tfdat.train import make_parser; make_parser().print_help()\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    for part in ("--preset", "amazon_books/final", "two-tower", "--decisions", "resumes"):
        assert part in done.stdout


def test_decisions_lists_every_key():
    text = decisions_text()
    assert "loss.lambda_alignment=1.0" in text
    assert "sampling.interactions=58000,65000" in text


def test_importing_tfdat_is_light():
    code = "import sys, tfdat; sys.exit(bool({'tensorflow', 'numpy', 'tf_keras'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("limit", [1_000, 3_000, 9_000])
def test_a_full_disk_is_one_line_and_nothing_half_written(limit, csv, tmp_path):
    """A limit on the size of files stands for a full disk: columns, settings or arrays do not fit."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    out = tmp_path / "run"
    done = train(
        *("--data", csv, "--out", out, "--replicates", "1", "--variants", "two-tower", "--progress", "quiet"),
        *settings(),
        check=False,
        preexec_fn=limited,
    )
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == done.stderr.splitlines()[-1:]
    assert "File too large" in done.stderr or "is the disk full?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(out.rglob("*.npz"))
    for path in out.rglob("*.json"):
        json.loads(path.read_text())
    assert not list(out.rglob("*.tmp"))


def test_an_unusable_out_is_one_line(csv, capsys, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert run_command(main, ["--data", str(csv), "--out", str(file / "run"), *settings()]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(file) in error
