import os
import subprocess
import sys

import pytest

from tfdat.errors import UserError
from tfdat.harness.lock import _share_replicates, locked

HOLD = (
    "import pathlib, sys; from tfdat.harness.lock import locked\n"
    "with locked(pathlib.Path(sys.argv[1]), (int(sys.argv[2]), int(sys.argv[3]))): print('held', flush=True); input()"
)


def hold(root, part, parts):
    command = [sys.executable, "-c", HOLD, str(root), str(part), str(parts)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def end(process):
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_and_a_killed_one_forgotten(tmp_path):
    first = hold(tmp_path, 1, 1)
    with (
        pytest.raises(UserError, match=f"is being filled by process {first.pid} on ") as error,
        locked(tmp_path, (1, 1)),
    ):
        pass
    assert str(tmp_path) in str(error.value)
    end(first)
    assert len(list(tmp_path.iterdir())) == 1
    with locked(tmp_path, (1, 1)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_shards_stand_beside_each_other_and_the_whole_does_not(tmp_path):
    first = hold(tmp_path, 1, 3)
    with locked(tmp_path, (2, 3)), locked(tmp_path, (3, 3)):
        pass
    for shard in ((1, 1), (1, 2), (2, 2)):
        with pytest.raises(UserError, match=r"\(shard 1/3\)"), locked(tmp_path, shard):
            pass
    end(first)
    with locked(tmp_path, (1, 1)):
        assert [path.name for path in tmp_path.iterdir()] == [".running-1-of-1"]


@pytest.mark.parametrize("parts", [(1, 1), (1, 4), (2, 3), (4, 6), (6, 9)])
def test_which_shards_share_replicates(parts):
    for k in range(1, parts[0] + 1):
        for m in range(1, parts[1] + 1):
            shared = set(range(k - 1, 100, parts[0])) & set(range(m - 1, 100, parts[1]))
            assert _share_replicates((k, parts[0]), (m, parts[1])) == bool(shared)


def test_the_lock_ends_with_an_error(tmp_path):
    def fail():
        with locked(tmp_path, (1, 1)):
            assert (tmp_path / ".running-1-of-1").read_text().startswith(f'{{"process": {os.getpid()}')
            raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        fail()
    assert list(tmp_path.iterdir()) == []
