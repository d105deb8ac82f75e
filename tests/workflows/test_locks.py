import subprocess
import sys

import pytest

from tsad.errors import TsadError
from tsad.workflows.locks import is_stale, locked

HOLD = """
import sys
from pathlib import Path
from tsad.workflows.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "search"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_two_processes_do_not_search_in_one_folder(tmp_path, holder):
    assert not is_stale(tmp_path / "search")
    with (
        pytest.raises(
            TsadError, match="search: one process at a time may use this folder, but another process uses it"
        ),
        locked(tmp_path / "search"),
    ):
        pass


def test_a_process_that_is_killed_leaves_its_folder(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert is_stale(tmp_path / "search")
    with locked(tmp_path / "search"):
        assert not is_stale(tmp_path / "search")


def test_a_folder_that_no_search_of_this_machine_began_in_is_not_is_stale(tmp_path):
    assert not is_stale(tmp_path / "elsewhere")
