"""`tsad runs tidy`: lists, asks, and ends runs whose process is gone."""

import pytest
from click.testing import CliRunner
from filelock import FileLock

from tests.stores import clear_environment, opened
from tsad.cli import cli
from tsad.errors import SpecError
from tsad.tracking.runs import RunWriter
from tsad.workflows.locks import is_dead, locked, write_session
from tsad.workflows.tidy import tidy_runs

OLD = {"tsad.kind": "search", "tsad.heartbeat": "2020-01-01T00:00:00+00:00"}


@pytest.fixture
def store(tmp_path_factory, monkeypatch, tmp_path):
    clear_environment(monkeypatch)
    folder = tmp_path_factory.getbasetemp() / "tidied"
    monkeypatch.setenv("TSAD_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    store = opened(folder)
    yield store
    for run in store.search(store.experiment(), "attributes.status = 'RUNNING'"):
        store.client.set_terminated(run.info.run_id)


@pytest.fixture
def orphan(store):
    return RunWriter.create(store, store.experiment(), "nightly", OLD).run_id


def tidy(*words, answer=None):
    return CliRunner().invoke(cli, ["runs", "tidy", *words], input=answer)


def status(store, run_id):
    return store.client.get_run(run_id).info.status


def test_a_dry_run_lists_and_changes_nothing(store, orphan):
    result = tidy("--dry-run")
    assert result.exit_code == 0
    assert f"{orphan}  search   nightly: no sign of life since 2020-01-01 00:00:00 UTC" in result.output
    assert status(store, orphan) == "RUNNING"


def test_it_asks_and_a_no_changes_nothing(store, orphan):
    result = tidy(answer="n\n")
    assert "End these 1 runs as KILLED?" in result.output
    assert "nothing was changed" in result.output
    assert status(store, orphan) == "RUNNING"


@pytest.mark.parametrize(("words", "answer"), [(("--yes",), None), ((), "y\n")])
def test_what_it_ended_is_listed(store, orphan, words, answer):
    result = tidy(*words, answer=answer)
    assert result.output.rstrip().splitlines()[-2].startswith("ended as KILLED in sqlite:///")
    assert orphan in result.output.splitlines()[-1]
    assert status(store, orphan) == "KILLED"
    assert "is RUNNING without a process" in tidy("--yes").output


def test_without_anybody_to_answer_it_says_which_option_to_give(store, orphan):
    result = tidy()
    assert result.exit_code == 2
    assert "nobody answers; give --yes" in result.output
    assert status(store, orphan) == "RUNNING"


def test_a_search_of_this_machine_is_known_by_its_lock(store, tmp_path):
    run = RunWriter.create(store, store.experiment(), "s", {"tsad.kind": "search", "tsad.session": "one"}).run_id
    folder = tmp_path / "outputs" / "search" / run
    with locked(folder):
        write_session(folder, "one")
        assert not tidy_runs().orphans
    assert [orphan.reason for orphan in tidy_runs(dry_run=True).orphans] == ["its process on this machine is gone"]
    store.client.set_tag(run, "tsad.session", "another, on another machine")
    assert not tidy_runs().orphans  # it was made just now


def test_a_lock_says_nothing_about_a_session_elsewhere(tmp_path):
    folder = tmp_path / "run"
    assert is_dead(tmp_path, "run", None) is None
    folder.mkdir()
    with FileLock(folder / "lock"):
        assert is_dead(tmp_path, "run", "other") is False
    assert is_dead(tmp_path, "run", None) is True
    assert is_dead(tmp_path, "run", "other") is None
    write_session(folder, "other")
    assert is_dead(tmp_path, "run", "other") is True


def test_the_shortest_silence_is_longer_than_a_few_heartbeats():
    with pytest.raises(SpecError, match="at least 60"):
        tidy_runs(seconds=5)
