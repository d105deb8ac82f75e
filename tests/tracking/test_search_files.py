"""Files of a search in its run: its space, and the copy of its journal."""

import pytest

import tsad.tracking.search_files as module
from tsad.errors import TsadError
from tsad.tracking.runs import RunWriter
from tsad.tracking.search_files import JournalCopy, fetch_journal, fetch_trials, read_space, write_space


@pytest.fixture
def writer(store):
    return RunWriter.create(store, store.experiment(), "a search", {})


def test_a_space_comes_back_as_it_was(store, writer):
    values = {"data": {"kind": "synthetic"}, "window": {"length": {"choice": [4, 8]}}, "search": {"register": None}}
    write_space(writer, "lengths", values)
    assert read_space(store, writer.run_id) == ("lengths", values)


def test_a_run_without_a_space_says_what_to_do(store, writer):
    with pytest.raises(TsadError, match=r"has no space.json: .* give its SPACE.yaml"):
        read_space(store, writer.run_id)


def test_the_copy_holds_what_the_store_has_and_is_written_at_a_bounded_rate(store, writer, tmp_path, monkeypatch):
    path = tmp_path / "journal.jsonl"
    copy = JournalCopy(writer, path)
    copy.flush()
    assert fetch_journal(store, writer.run_id, path.name) is None
    path.write_bytes(b"proposed\nended\nproposed\n")
    copy.extend(len(b"proposed\nended\n"))
    assert fetch_journal(store, writer.run_id, path.name) == b"proposed\nended\n"
    copy.extend(copy.size())
    assert fetch_journal(store, writer.run_id, path.name) == b"proposed\nended\n"  # five seconds have not passed
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    copy.refresh()
    assert fetch_journal(store, writer.run_id, path.name) == b"proposed\nended\nproposed\n"


def test_files_of_trials_are_fetched_and_none_is_missing(store, writer, tmp_path):
    child = RunWriter.create(store, store.experiment(), "t", {"tsad.trial": "3"}, writer.run_id)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "scores.npy").write_bytes(b"rows")
    child.files(tmp_path / "files")
    folders = fetch_trials(store, writer.run_id, [3], tmp_path / "fetched")
    assert (folders[3] / "scores.npy").read_bytes() == b"rows"
    with pytest.raises(TsadError, match="no files of its trial 4"):
        fetch_trials(store, writer.run_id, [4], tmp_path / "fetched")
