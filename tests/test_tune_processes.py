"""Sweeps shared by processes, and the command line."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small import small_interactions
from sweeps import by_rate, recorded, sweep

from tfdat.cli import run_command
from tfdat.tune import __main__ as tune
from tfdat.tune.processes import role
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

    def test_two_processes_share_one_sweep(self, tmp_path):
        write_csv(tmp_path / "small.csv")
        done = run_tune(tmp_path, "--workers", "2", "--trials", "4", "--out", str(tmp_path / "out"))
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("hr@100") == 4
        said = (done.stdout + done.stderr).splitlines()
        assert not {"cross_entropy", "sampled_softmax", "popularity"} & set(said)  # KerasTuner's debugging
        trials = recorded(tmp_path / "out")
        assert sorted(trial["number"] for trial in trials) == [0, 1, 2, 3]
        assert {trial["status"] for trial in trials} == {"sound"}
        assert len({json.dumps(trial["values"], sort_keys=True) for trial in trials}) == 4
        assert all((tmp_path / "out" / "keras_tuner" / f"worker-{n}.json").is_file() for n in (0, 1))
        again = run_tune(tmp_path, "--trials", "4", "--out", str(tmp_path / "out"))
        assert again.returncode == 0
        assert "trial" not in again.stderr
        assert recorded(tmp_path / "out") == trials

    def test_a_trial_that_kills_its_process_twice_is_left_out(self, tmp_path, scored_by):
        scored_by(by_rate)
        code = (
            "import contextlib, os, pathlib, sys\n"
            "sys.path.insert(0, sys.argv[1])\n"
            "import sweeps\n"
            "from tfdat.tune.scoring import Scorer\n"
            "from tfdat.tune.sweep import Budget, run_sweep\n"
            "def score(self, config):\n"
            "    deadly, own = pathlib.Path(sys.argv[2]), str(config.training.learning_rate)\n"
            "    with contextlib.suppress(FileExistsError), deadly.open('x') as file: file.write(own)\n"
            "    if deadly.read_text() == own: os._exit(9)\n"
            "    return sweeps.by_rate(config)\n"
            "Scorer.__call__ = score\n"
            "run_sweep(sweeps.sweep(), Budget(3), pathlib.Path(sys.argv[3]))\n"
        )
        folder, here = tmp_path / "sweep", str(Path(__file__).parent)
        command = [sys.executable, "-c", code, here, str(tmp_path / "deadly"), str(folder)]
        trials = run_sweep(sweep(), Budget(3), folder, workers=2, command=command)
        assert [trial.status for trial in trials] == ["sound", "sound", "failed"]
        assert trials[-1].reason == "its process ended twice, at last with exit code 9"

    def test_workers_end_with_the_process_that_started_them(self, tmp_path):
        write_csv(tmp_path / "small.csv")
        arguments = ("--workers", "1", "--trials", "100000", "--out", str(tmp_path / "out"))
        code = (
            "import subprocess, sys, time; from tfdat.tune.processes import _Team;"
            "team = _Team(sys.argv[1:], {'KERASTUNER_ORACLE_IP': '127.0.0.1', 'KERASTUNER_ORACLE_PORT': '9'}, 1);"
            "print(team._running['worker-0'].pid, flush=True); time.sleep(600)"
        )
        parent = subprocess.Popen(
            [sys.executable, "-c", code, *tune_command(tmp_path, *arguments)], stdout=subprocess.PIPE, text=True
        )
        worker = int(parent.stdout.readline())
        time.sleep(1)
        assert alive(worker)
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 120
        while alive(worker) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not alive(worker)

    def test_a_worker_that_cannot_start_is_an_error(self, tmp_path, scored_by):
        scored_by(by_rate)
        command = [sys.executable, "-c", "raise SystemExit(3)"]
        with pytest.raises(ValueError, match="exit code 3 before it had a trial"):
            run_sweep(sweep(), Budget(3), tmp_path, workers=2, command=command)


class TestCommandLine:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--trials", "0"], "--trials should be a positive integer. Received: 0."),
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
        assert tune.main(["--data", str(tmp_path / "small.csv"), "--out", str(tmp_path / "out")]) == 130
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
    settings = ("user_fraction=1", "interactions=none", "min_item=1")
    command = [sys.executable, "-m", "tfdat.tune", "--data", str(folder / "small.csv"), "--replicates", "1"]
    command += [part for setting in settings for part in ("--set", f"sampling.{setting}")]
    return [*command, "--set", "training.epochs=1", *arguments]
