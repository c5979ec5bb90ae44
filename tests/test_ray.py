from __future__ import annotations

import pytest
from runs import contents, settings, train, write_csv

pytestmark = pytest.mark.slow


def test_a_local_ray_cluster_gives_the_same_bytes(tmp_path):
    pytest.importorskip("ray")
    csv = write_csv(tmp_path / "small.csv")
    common = ["--data", csv, "--replicates", "2", "--variants", "dat", *settings()]
    train(*common, "--out", tmp_path / "processes")
    train(*common, "--out", tmp_path / "ray", "--engine", "ray", "--workers", "2")
    assert contents(tmp_path / "ray") == contents(tmp_path / "processes")
