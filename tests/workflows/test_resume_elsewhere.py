"""A search that is killed on one machine and resumed on another, which has nothing but its run id, the data and the store."""

import shutil
import signal
import subprocess

import pytest

from tests.processes import PYTHON, environment, ran
from tests.workflows.test_search_faults import TRIALS, Place

pytestmark = pytest.mark.slow


def test_a_search_is_resumed_on_another_machine_by_its_run_alone(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    place = Place(here)
    uri = f"sqlite:///{here / 'mlflow.db'}"
    with place.started() as process:
        place.wait_for_trials(process, 2)
        for name in ("train.csv", "test.csv", "space.yaml"):
            shutil.copy(here / name, there)
        (search,) = place.searches()
        words = [str(PYTHON), "-m", "tsad", "search", "--resume", search.info.run_id]
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = {number: run for number, run in place.trials(search).items() if run.info.status == "FINISHED"}
    shutil.rmtree(here / "outputs")
    out = ran(words, there, MLFLOW_TRACKING_URI=uri)
    assert "watching whether search" in out
    assert f"resuming search {search.info.run_id}" in out
    assert "champion:  models:/tsad@champion" in out
    (search,) = place.searches()
    assert search.info.status == "FINISHED"
    trials = place.trials(search)
    assert sorted(trials) == list(range(TRIALS))
    assert {run.info.status for run in trials.values()} == {"FINISHED"}
    kept = [number for number, run in before.items() if trials[number].info.end_time == run.info.end_time]
    assert len(kept) >= 1
    for run in trials.values():
        steps = [point.step for point in place.client.get_metric_history(run.info.run_id, "train/loss")]
        assert steps == list(range(1, 13))
    done = subprocess.run(
        words,
        cwd=there,
        env=environment(MLFLOW_TRACKING_URI=uri),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "has finished, so there is nothing to resume" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
