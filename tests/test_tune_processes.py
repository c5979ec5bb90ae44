"""Sweeps shared by processes, and the command line."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small import small_interactions
from sweeps import by_rate, diverged_above, recorded, sweep

from tfdat.cli import run_command
from tfdat.errors import UserError
from tfdat.tune import __main__ as tune
from tfdat.tune.processes import TrialSetup, role
from tfdat.tune.sweep import Budget, run_sweep


class TestProcesses:
    def test_the_part_of_a_process(self, monkeypatch):
        assert role() == "alone"
        monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
        with pytest.raises(ValueError, match="Missing: KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_PORT"):
            role()
        monkeypatch.setenv("KERASTUNER_ORACLE_PORT", "1")
        monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
        assert role() == "chief"
        monkeypatch.setenv("KERASTUNER_TUNER_ID", "any")
        assert role() == "worker"

    @pytest.mark.slow
    def test_two_processes_share_one_sweep(self, tmp_path):
        write_csv(tmp_path / "small.csv")
        done = run_tune(tmp_path, "--workers", "2", "--trials", "4", "--out", str(tmp_path / "out"))
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("mrr_x10 ") == 4
        said = (done.stdout + done.stderr).splitlines()
        assert not {"cross_entropy", "sampled_softmax", "popularity"} & set(said)  # KerasTuner's debugging
        trials = recorded(tmp_path / "out")
        assert sorted(trial["number"] for trial in trials) == [0, 1, 2, 3]
        assert {trial["status"] for trial in trials} == {"sound"}
        assert len({json.dumps(trial["values"], sort_keys=True) for trial in trials}) == 4
        again = run_tune(tmp_path, "--trials", "4", "--out", str(tmp_path / "out"))
        assert again.returncode == 0
        assert "trial" not in again.stderr
        assert recorded(tmp_path / "out") == trials

    def test_both_processes_take_trials(self, tmp_path, scored_by, monkeypatch):
        scored_by(by_rate)
        monkeypatch.setattr("tfdat.tune.sweep.TrialSetup", MadeUpSetup)
        monkeypatch.setenv("TFDAT_TEST_FOLDER", str(tmp_path / "pids"))
        (tmp_path / "pids").mkdir()
        trials = run_sweep(sweep(), Budget(8), tmp_path / "sweep", workers=2)
        assert [trial.status for trial in trials] == ["sound"] * 8
        assert len(list((tmp_path / "pids").iterdir())) == 2
        assert not (tmp_path / "pids" / str(os.getpid())).exists()

    @pytest.mark.slow
    def test_a_trial_that_kills_its_process_twice_is_left_out(self, tmp_path, scored_by, monkeypatch, capsys):
        scored_by(by_rate)
        monkeypatch.setattr("tfdat.tune.sweep.TrialSetup", DeadlySetup)
        monkeypatch.setenv("TFDAT_TEST_FOLDER", str(tmp_path))
        trials = run_sweep(sweep(), Budget(3), tmp_path / "sweep", workers=2)
        assert [trial.status for trial in trials] == ["sound", "sound", "failed"]
        assert trials[-1].reason == "its worker process ended (exit code 9)"
        assert "is tried once more: its worker process ended (exit code 9)" in capsys.readouterr().err

    def test_failed_trials_are_not_tried_again_and_keep_their_reason(self, tmp_path, scored_by, monkeypatch, capsys):
        scored_by(by_rate)
        monkeypatch.setattr("tfdat.tune.sweep.TrialSetup", DivergingSetup)
        trials = run_sweep(sweep(), Budget(6), tmp_path, workers=2)
        failed = [trial for trial in trials if trial.status == "failed"]
        assert 0 < len(failed) < 6
        assert {trial.reason for trial in failed} == {"DivergedError: loss not finite in epoch 1"}
        assert "once more" not in capsys.readouterr().err

    @pytest.mark.slow
    def test_an_interrupted_sweep_of_two_processes_goes_on(self, tmp_path, scored_by, monkeypatch):
        scored_by(by_rate)
        monkeypatch.setattr("tfdat.tune.sweep.TrialSetup", MadeUpSetup)

        def interrupt(self, trial_id):
            if int(trial_id) == 2:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("tfdat.tune.sweep._Progress.__call__", interrupt)
            with pytest.raises(KeyboardInterrupt):
                run_sweep(sweep(), Budget(6), tmp_path, workers=2)
        before = recorded(tmp_path)
        assert "unfinished" in {trial["status"] for trial in before}
        trials = run_sweep(sweep(), Budget(6), tmp_path, workers=2)
        assert [trial.status for trial in trials] == ["sound"] * 6
        after = {trial["number"]: trial for trial in recorded(tmp_path)}
        assert all(after[trial["number"]] == trial for trial in before if trial["status"] == "sound")

    def test_two_processes_find_what_one_finds(self, tmp_path, scored_by, monkeypatch):
        scored_by(by_rate)
        one = run_sweep(sweep(), Budget(6), tmp_path / "one")
        monkeypatch.setattr("tfdat.tune.sweep.TrialSetup", MadeUpSetup)
        two = run_sweep(sweep(), Budget(6), tmp_path / "two", workers=2)
        assert {trial.number: trial.values for trial in one} == {trial.number: trial.values for trial in two}
        for file in ("sweep.json", "best.json"):
            assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()

    @pytest.mark.slow
    def test_workers_end_with_the_process_that_started_them(self, tmp_path):
        write_csv(tmp_path / "small.csv")
        arguments = ("--workers", "2", "--trials", "100000", "--out", str(tmp_path / "out"))
        parent = subprocess.Popen(tune_command(tmp_path, *arguments), stderr=subprocess.PIPE, text=True)
        assert "trial" in parent.stderr.readline()
        workers = [int(pid) for pid in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()]
        assert sum(alive(worker) for worker in workers) >= 2
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 120
        while any(map(alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not any(map(alive, workers))

    @pytest.mark.slow
    def test_a_chief_and_a_worker_share_a_sweep_over_the_network(self, tmp_path):
        """KerasTuner's way for several machines."""
        write_csv(tmp_path / "small.csv")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(probe.getsockname()[1])}
        command = tune_command(tmp_path, "--trials", "2", "--out", str(tmp_path / "sw [1]"))
        processes = [
            subprocess.Popen(
                command, env={**os.environ, **address, "KERASTUNER_TUNER_ID": name}, stderr=subprocess.PIPE, text=True
            )
            for name in ("chief", "far-away")
        ]
        said = [process.communicate(timeout=400)[1] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], said
        assert {trial["status"] for trial in recorded(tmp_path / "sw [1]")} == {"sound"}
        assert said[0].count("mrr_x10 ") == 2

    @pytest.mark.slow
    def test_a_worker_that_cannot_start_leaves_its_trials_out(self, tmp_path, scored_by, monkeypatch):
        scored_by(by_rate)
        monkeypatch.setattr("tfdat.tune.sweep.TrialSetup", BrokenSetup)
        with pytest.raises(UserError, match=r"None of 3 trials gave a model.*3 x its worker process ended"):
            run_sweep(sweep(), Budget(3), tmp_path, workers=2)


class MadeUpSetup(TrialSetup):
    """Scores by the learning rate, and leaves the number of its process."""

    def scorer(self):
        folder = os.environ.get("TFDAT_TEST_FOLDER")

        def score(config):
            if folder:
                (Path(folder) / str(os.getpid())).touch()
                time.sleep(0.3)
            return by_rate(config)

        return score


class DeadlySetup(TrialSetup):
    """Ends the process of one trial, whichever it is first."""

    def scorer(self):
        deadly = Path(os.environ["TFDAT_TEST_FOLDER"]) / "deadly"

        def score(config):
            own = str(config.training.learning_rate)
            with contextlib.suppress(FileExistsError), deadly.open("x") as file:
                file.write(own)
            if deadly.read_text() == own:
                os._exit(9)
            return by_rate(config)

        return score


class DivergingSetup(TrialSetup):
    """Diverges at high learning rates."""

    def scorer(self):
        return diverged_above(0.004)


class BrokenSetup(TrialSetup):
    """Cannot start."""

    def __call__(self):
        os._exit(3)


class TestCommandLine:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--trials", "0"], "--trials should be a positive integer. Received: '0'."),
            (["--hours", "0"], "--hours should be above 0. Received: 0."),
            (["--algorithm", "grid"], "invalid choice: 'grid'"),
            (["--set", "training.validation=random_pairs"], "val_hr` needs a validation item"),
            (["--set", "features.user_statistics=all_reviews", "--data", "small.csv"], "user_statistics=train"),
            (["--data", "absent.csv"], "absent.csv"),
            (["--data", "small.csv", "--set", "sampling.interactions=9,10"], "never 9 to 10"),
        ],
    )
    def test_errors_are_one_line(self, tmp_path, monkeypatch, capsys, arguments, message):
        monkeypatch.chdir(tmp_path)
        write_csv(tmp_path / "small.csv")
        assert run_command(tune.main, arguments) == 2
        found = capsys.readouterr().err
        assert message in found
        assert len(found.splitlines()) == 1

    def test_an_interruption_says_how_to_go_on(self, tmp_path, monkeypatch, capsys):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("tfdat.tune.sweep.run_sweep", interrupted)
        write_csv(tmp_path / "small.csv")
        assert run_command(tune.main, ["--data", str(tmp_path / "small.csv"), "--out", str(tmp_path / "out")]) == 130
        assert f"The trials so far are in {tmp_path / 'out'}" in capsys.readouterr().err

    def test_the_space_is_listed(self, capsys):
        assert tune.main(["--space", "--set", "model.embedding_dim=64"]) == 0
        listed = capsys.readouterr().out
        assert "training.learning_rate: 0.001 to 0.04, log" in listed
        assert "model.embedding_dim" not in listed


def write_csv(path):
    data = small_interactions(num_users=80)
    lines = ["user_id,item_id,timestamp"]
    lines += [f"{u},{i},{t}" for u, i, t in zip(data.user, data.item, data.timestamp, strict=True)]
    path.write_text("\n".join(lines) + "\n")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def run_tune(folder, *arguments):
    return subprocess.run(tune_command(folder, *arguments), capture_output=True, text=True, timeout=400, check=False)


def tune_command(folder, *arguments):
    settings = ("user_fraction=1", "interactions=none", "min_item=1", "replacement=true")
    command = [sys.executable, "-m", "tfdat.tune", "--data", str(folder / "small.csv"), "--replicates", "1"]
    command += [part for setting in settings for part in ("--set", f"sampling.{setting}")]
    return [*command, "--set", "training.epochs=1", *arguments]
