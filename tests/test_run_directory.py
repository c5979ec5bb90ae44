from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small import SMALL_SETTINGS, small_interactions

from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.harness.atomic_files import read_json, remove_leftovers, replacing, write_arrays, write_json
from tfdat.harness.devices import choose_strategy, cluster_position, environments, gpus, writes_results
from tfdat.harness.directory import Extent, RunDirectory, RunSettings, describe
from tfdat.harness.merge import merge
from tfdat.harness.record import ReplicateRecord, collapse_reasons
from tfdat.harness.stored_record import RANKS

CONFIG = with_values(Config(), SMALL_SETTINGS)
SETTINGS = RunSettings("cornelisse2024", 42, "tensorflow", describe(small_interactions()), CONFIG)


def record(number, value=0.5, **more):
    metrics = {"hr@50": value, "hr@100": value, "mrr_x10": value}
    fields = {"method": "mostpop", "replicate": number, "seed": 42, "candidates": 80, "test_users": 9}
    blocks = {"metrics": metrics, "metrics_masked": metrics, "metrics_unmasked": metrics, "counts": {"users": 9}}
    ranks = np.arange(1, 10)
    arrays = dict.fromkeys((*RANKS, "test_popularity"), ranks)
    return ReplicateRecord({**fields, **blocks, **more}, arrays)


def variant_record(number, collapsed=False):
    made = record(
        number,
        method="dat",
        history={"loss": [1.0, 0.5], "skipped_categories": [1.0, 0.0]},
        epochs=2,
        best_epoch=2,
        collapsed=collapsed,
        collapse_reasons=["scores differ by 0"] if collapsed else [],
        score_spread=0.1,
        dead_users=0.0,
        dead_items=0.0,
    )
    matrices = np.ones((3, 4, 4), np.float32)
    own = {"recommended_popularity": np.ones((2, 2), int), "covariance_before": matrices, "covariance_after": matrices}
    return ReplicateRecord(made.fields, made.arrays | own)


def write_half(path):
    with replacing(path) as file:
        file.write(b"half")
        raise RuntimeError("half way")


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError, match="half way"):
        write_half(path)
    assert read_json(path) == {"a": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_the_same_arrays_are_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_arrays(tmp_path / f"{name}.npz", {"x": np.arange(1000), "y": np.eye(3)})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_leftovers_of_killed_writers_are_removed_and_no_others(tmp_path):
    code = (
        "import os, pathlib, sys; from tfdat.harness.atomic_files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as f: f.write(b'x'); f.flush(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "deep" / "a.json")], check=True)
    assert len(list(tmp_path.rglob("*"))) == 2
    with replacing(tmp_path / "b.json") as file:
        remove_leftovers(tmp_path)
        file.write(b"{}")
    assert [p.name for p in tmp_path.rglob("*.json*")] == ["b.json"]
    assert list((tmp_path / "deep").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_leftovers_of_a_writer_that_ended_and_was_not_collected_are_removed(tmp_path):
    code = (
        "import os, pathlib, sys; from tfdat.harness.atomic_files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as f: print('open', flush=True); os._exit(0)"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a.json")], stdout=subprocess.PIPE, text=True)
    assert writer.stdout.read() == "open\n"  # it has ended, and stays a zombie until it is waited for
    stat = Path(f"/proc/{writer.pid}/stat")
    for _ in range(500):
        if b") Z " in stat.read_bytes():
            break
        time.sleep(0.01)
    assert b") Z " in stat.read_bytes()
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []
    writer.wait()


def test_another_configuration_is_refused_with_the_fields_that_differ(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.claim(SETTINGS)
    directory.claim(SETTINGS)
    assert directory.settings() == SETTINGS
    changed = with_values(CONFIG, {"model.bias": "learned", "loss.lambda_user": 0.25})
    other = RunSettings(
        "yu2021", 42, "tensorflow", {**SETTINGS.data, "fingerprint": "f" * 64, "name": "other"}, changed
    )
    with pytest.raises(ValueError, match="holds a run with other settings") as error:
        directory.claim(other)
    for part in ("preset is 'cornelisse2024' there", "model.bias", "loss.lambda_user", "data is small there and other"):
        assert part in str(error.value)


def test_a_foreign_config_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"preset": "x"}')
    with pytest.raises(ValueError, match="not a configuration that tfdat wrote"):
        RunDirectory(tmp_path).claim(SETTINGS)


def test_merging_shards(tmp_path):
    for shard in (0, 1):
        directory = RunDirectory(tmp_path / f"part{shard}")
        directory.claim(SETTINGS)
        for number in range(shard, 4, 2):
            directory.write("dat", number, variant_record(number, collapsed=number == 2))
            directory.write("mostpop", number, record(number, value=0.1 * number))
    results, missing = merge([tmp_path / "part0", tmp_path / "part1"], tmp_path / "whole")
    assert missing == []
    assert results["variants"]["dat"]["collapsed"] == 1
    assert results["variants"]["dat"]["skipped_categories"] == [1.0] * 4
    assert results["baselines"]["mostpop"]["metrics"]["hr@50"]["values"] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert results["baselines"]["chance"]["metrics"]["hr@50"]["mean"] == pytest.approx(50 / 80)
    assert results["counts"]["users"] == {"sum": 36, "mean": 9.0}
    assert json.loads((tmp_path / "whole" / "results.json").read_text()) == results
    (tmp_path / "part1" / "replicates" / "dat" / "001.json").unlink()
    assert merge([tmp_path / "part0", tmp_path / "part1"], tmp_path / "again")[1] == ["dat 001"]


def test_merging_says_what_is_missing_everywhere(tmp_path):
    """The last replicate, and a whole variant, that no shard has."""
    extent = Extent(4, ("dat", "dat-no-cal", "mostpop"))
    for shard in (0, 1):
        directory = RunDirectory(tmp_path / f"part{shard}")
        directory.claim(SETTINGS, extent)
        for number in (shard, shard + 2)[: 2 - shard]:
            directory.write("dat", number, variant_record(number))
            directory.write("mostpop", number, record(number))
    results, missing = merge([tmp_path / "part0", tmp_path / "part1"], tmp_path / "whole")
    assert missing == ["dat 003", *(f"dat-no-cal {number:03d}" for number in range(4)), "mostpop 003"]
    assert results["variants"]["dat"]["replicates"] == 3
    assert RunDirectory(tmp_path / "whole").extent() == extent


def test_the_extent_of_a_run_is_the_most_that_was_asked_for(tmp_path):
    directory = RunDirectory(tmp_path)
    for replicates, methods in ((2, ("dat", "mostpop")), (5, ("dat", "mostpop")), (3, ("two-tower", "mostpop"))):
        directory.claim(SETTINGS, Extent(replicates, methods))
    assert directory.extent() == Extent(5, ("dat", "mostpop", "two-tower"))
    content = json.loads((tmp_path / "config.json").read_text())
    for name in ("replicates", "methods"):  # as runs wrote it before
        del content[name]
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert directory.settings() == SETTINGS
    assert directory.extent() == Extent()


def test_merging_different_runs_is_refused(tmp_path):
    RunDirectory(tmp_path / "a").claim(SETTINGS)
    RunDirectory(tmp_path / "b").claim(RunSettings("cornelisse2024", 1, "tensorflow", SETTINGS.data, CONFIG))
    with pytest.raises(ValueError, match="seed is 42 there and 1 here"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    with pytest.raises(FileNotFoundError, match="not a run directory"):
        merge([tmp_path / "absent"], tmp_path / "c")


def test_collapse_is_told_with_its_reason():
    assert collapse_reasons(0.2, 0.0, 0.0) == []
    assert "scores differ" in collapse_reasons(1e-6, 0.0, 0.0)[0]
    assert collapse_reasons(0.2, 0.75, 0.9) == ["75% of the user vectors are zero", "90% of the item vectors are zero"]


def test_each_gpu_gets_a_worker(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert gpus() == ["2", "5"]
    assert [e["CUDA_VISIBLE_DEVICES"] for e in environments(3)] == ["2", "5", "2"]
    assert all(e["TF_FORCE_GPU_ALLOW_GROWTH"] == "true" for e in environments(2))
    assert choose_strategy("auto", 35) == ("one", "35 replicates on 2 GPUs: one replicate per GPU")
    assert choose_strategy("auto", 1)[0] == "mirrored"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert gpus() == []
    assert choose_strategy("auto", 1) == ("one", "")


def page_faults(environment):
    """Of a thread that allocates and frees 100 MB ten times, more than a heap of glibc's holds."""
    script = """
import resource, threading
import numpy as np

def step():
    [np.ones(50_000) for _ in range(250)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():
    step()
    before = faults()
    for _ in range(10):
        step()
    print(faults() - before)

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", script]
    return int(subprocess.run(command, env={**inherited, **environment}, capture_output=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_a_worker_keeps_its_memory_between_steps():
    assert page_faults({}) > 10_000
    assert page_faults(environments(1)[0]) < 1_000


def test_the_cluster_is_read_from_tf_config(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="reads TF_CONFIG"):
        cluster_position()
    workers = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(workers))
    assert cluster_position() == (1, 2)
    assert not writes_results("multiworker")
    assert writes_results("one")
