"""Jobs: one after another, each in a process of its own that ends with whoever wants it."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.processes import PYTHON, environment
from tsad.selection.trial import Trial
from tsad.serving import jobs as module
from tsad.serving.errors import RequestError
from tsad.serving.jobs import LOG, OUTPUTS, SPACE, JobLimits, JobRunner, Jobs, JobSpec
from tsad.serving.search_runner import search_runner
from tsad.tuning.algorithms.contract import CandidateFactory
from tsad.tuning.quickstart import quickstart_space
from tsad.tuning.space import Space

ENVIRONMENT = environment(PYTHONDONTWRITEBYTECODE="1")
WRITES = "import os, pathlib; pathlib.Path('seen').write_text(os.environ['TSAD_OUTPUT_DIR'])"
WAITS = "import time; print('waiting', flush=True); time.sleep(60)"
FAILS = "import sys; print('first line', flush=True); sys.exit('DataError: nothing to search\\n\\n')"


def task(kind="search", conclude=lambda folder: {"seen": (folder / "seen").read_text()}):
    return JobSpec(kind, {"search": {"trials": 3}}, lambda folder: (folder / "rows.csv").write_text("a\n1\n"), conclude)


def with_jobs(folder, code, work, limits=None, read_progress=lambda folder: []):
    """Returns what `work` returns, a coroutine that gets jobs whose searches run `code`."""

    async def run():
        jobs = Jobs(folder, JobRunner((sys.executable, "-c", code), ENVIRONMENT, read_progress), limits or JobLimits())
        try:
            return await work(jobs)
        finally:
            await jobs.close()

    return asyncio.run(run())


async def ended(job):
    await asyncio.wait_for(job.ended.wait(), 60)
    return job


async def begun(jobs, job):
    """Waits until the command of a job runs."""
    for _ in range(600):
        log = job.folder / LOG
        if log.is_file() and "waiting" in log.read_text():
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"the job did not begin: {jobs.described(job)}")


def test_a_job_runs_in_a_folder_of_its_own_and_has_a_result(tmp_path):
    async def work(jobs):
        job = jobs.submit(task())
        assert jobs.described(job)["state"] == "queued"
        await ended(job)
        assert (job.folder / SPACE).read_text() == "search:\n  trials: 3\n"
        assert (job.folder / "rows.csv").is_file()
        return job, jobs.described(job)

    job, described = with_jobs(tmp_path / "jobs", WRITES, work)
    assert described["state"] == "finished"
    assert described["result"] == {"seen": str(job.folder / OUTPUTS)}
    assert described["progress"] == {"done": 0, "total": 3, "best": None, "trials": []}
    assert (described["url"], described["error"]) == (f"/api/jobs/{job.id}", None)


def test_jobs_run_one_after_another_and_know_their_place(tmp_path):
    async def work(jobs):
        submitted = [jobs.submit(task()) for _ in range(3)]
        places = [jobs.described(job)["position"] for job in submitted]
        for job in submitted:
            await ended(job)
        return places, [job.began for job in submitted], [job.seconds for job in submitted], jobs.all()

    places, began, seconds, described = with_jobs(tmp_path / "jobs", WRITES, work)
    assert places == [1, 2, 3]
    assert began[0] + seconds[0] <= began[1]
    assert began[1] + seconds[1] <= began[2]
    assert [each["state"] for each in described] == ["finished"] * 3


def test_a_search_that_fails_is_a_failed_job_with_its_last_line(tmp_path):
    job = with_jobs(tmp_path / "jobs", FAILS, lambda jobs: ended(jobs.submit(task())))
    assert (job.state, job.error, job.result) == ("failed", "DataError: nothing to search", None)


def test_a_result_that_cannot_be_made_is_a_failed_job_and_the_next_one_runs(tmp_path):
    async def work(jobs):
        bad = jobs.submit(task(conclude=lambda folder: {}["nothing"]))
        return await ended(bad), await ended(jobs.submit(task()))

    bad, good = with_jobs(tmp_path / "jobs", WRITES, work)
    assert (bad.state, bad.error) == ("failed", "KeyError: 'nothing'")
    assert good.state == "finished"


def test_no_more_jobs_wait_than_allowed(tmp_path):
    async def work(jobs):
        running = jobs.submit(task())
        await begun(jobs, running)
        jobs.submit(task())
        with pytest.raises(
            RequestError, match="1 jobs wait already, no more may of one client; ask again later"
        ) as caught:
            jobs.submit(task())
        return caught.value

    refusal = with_jobs(tmp_path / "jobs", WAITS, work, JobLimits(queued=1))
    assert refusal.status == 429
    assert int(refusal.headers["Retry-After"]) > 0


def test_clients_take_turns_however_many_jobs_one_of_them_has(tmp_path):
    async def work(jobs):
        running = jobs.submit(task(), "greedy")
        await begun(jobs, running)
        greedy = [jobs.submit(task(), "greedy") for _ in range(5)]
        modest = [jobs.submit(task(), "modest") for _ in range(2)]
        late = jobs.submit(task(), "late")
        promotion = jobs.submit(replace(task("promotion"), command=("true",)), "greedy")
        names = {job.id: name for job, name in zip([*greedy, *modest, late, promotion], "abcdemnlp", strict=True)}
        return "".join(names[job.id] for job in jobs._waiting())

    assert with_jobs(tmp_path / "jobs", WAITS, work) == "pmlanbcde"


def test_turns_are_taken_when_jobs_run(tmp_path):
    async def work(jobs):
        submitted = [jobs.submit(task(), client) for client in ("a", "a", "a", "b", "b")]
        for job in submitted:
            await ended(job)
        return [job.client for job in sorted(submitted, key=lambda job: job.began)]

    assert with_jobs(tmp_path / "jobs", WRITES, work) == ["a", "b", "a", "b", "a"]


def test_one_client_does_not_fill_the_queue_and_all_together_are_bounded(tmp_path):
    async def work(jobs):
        await begun(jobs, jobs.submit(task(), "a"))
        for _ in range(2):
            jobs.submit(task(), "a")
        with pytest.raises(RequestError, match="2 jobs wait already, no more may of one client"):
            jobs.submit(task(), "a")
        jobs.submit(task(), "b")
        with pytest.raises(RequestError, match="3 jobs of all clients wait already, no more may") as caught:
            jobs.submit(task(), "c")
        return caught.value

    refusal = with_jobs(tmp_path / "jobs", WAITS, work, JobLimits(queued=2, queued_together=3))
    assert (refusal.status, refusal.headers["Retry-After"]) == (429, "60")


def test_the_list_of_jobs_repeats_no_trials_and_results_and_reads_what_is_over_once(tmp_path):
    asked = []

    def read_progress(folder):
        asked.append(folder)
        return []

    async def work(jobs):
        job = await ended(jobs.submit(task()))
        while not job.is_over:
            await asyncio.sleep(0.01)
        listed = [jobs.all() for _ in range(5)]
        return listed, jobs.described(job)

    listed, described = with_jobs(tmp_path / "jobs", WRITES, work, read_progress=read_progress)
    assert all(one == listed[0] for one in listed)
    assert "result" not in listed[0][0]
    assert listed[0][0]["progress"] == {"done": 0, "total": 3, "best": None}
    assert described["result"]
    assert "trials" in described["progress"]
    assert len(asked) == 1


def test_a_job_that_runs_too_long_is_ended(tmp_path):
    job = with_jobs(tmp_path / "jobs", WAITS, lambda jobs: ended(jobs.submit(task())), JobLimits(seconds=0.2))
    assert job.state == "failed"
    assert job.error == "a job must end within 0.2 s; try fewer candidates"


def test_canceling_ends_the_process_of_the_job_and_of_no_other(tmp_path):
    async def work(jobs):
        running, waiting = jobs.submit(task()), jobs.submit(task())
        await begun(jobs, running)
        jobs.cancel(waiting)
        jobs.cancel(running)
        third = jobs.submit(task())
        await begun(jobs, third)  # so the first has ended
        return [job.state for job in (running, waiting, third)], running.error, waiting.began

    states, error, began = with_jobs(tmp_path / "jobs", WAITS, work)
    assert states == ["cancelled", "cancelled", "running"]
    assert error == "somebody cancelled it"
    assert began is None


def test_a_job_that_has_ended_cannot_be_cancelled(tmp_path):
    async def work(jobs):
        job = await ended(jobs.submit(task()))
        jobs.cancel(job)
        return job

    assert with_jobs(tmp_path / "jobs", WRITES, work).state == "finished"


def test_a_service_that_begins_again_has_forgotten_its_jobs(tmp_path):
    with_jobs(tmp_path / "jobs", WRITES, lambda jobs: ended(jobs.submit(task())))
    assert list((tmp_path / "jobs").iterdir())

    async def work(jobs):
        with pytest.raises(RequestError, match=r"no job 'f+'; a service that was restarted has forgotten"):
            jobs.find("f" * 32)

    with_jobs(tmp_path / "jobs", WRITES, work)
    assert not (tmp_path / "jobs").exists()


def test_old_jobs_are_forgotten_with_their_files(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_KEPT", 1)

    async def work(jobs):
        first = await ended(jobs.submit(task()))
        second = await ended(jobs.submit(task()))
        jobs.submit(task())
        assert not first.folder.exists()
        return [each["id"] for each in jobs.all()], first.id, second.id

    left, first, second = with_jobs(tmp_path / "jobs", WRITES, work)
    assert second in left
    assert first not in left


def test_progress_shows_the_values_of_conditional_hyperparameters(tmp_path):
    space = quickstart_space({"kind": "synthetic"}, trials=3)
    template = {name: section for name, section in space.items() if name != "search"}
    factory = CandidateFactory(Space(template), seed=0)
    candidates = [factory.candidate(lambda: ({}, ()), generation=0) for _ in range(12)]
    seen = [(candidates[0], Trial(candidates[0], "finished", 0.5, 1.0)), *((each, None) for each in candidates[1:])]

    async def work(jobs):
        return jobs.described(jobs.submit(replace(task(), space=space)))["progress"]

    progress = with_jobs(tmp_path / "jobs", WRITES, work, read_progress=lambda folder: seen)
    assert (progress["done"], progress["total"], progress["best"]) == (1, 3, 0.5)
    assert [each["state"] for each in progress["trials"][:2]] == ["finished", "running"]
    for candidate, shown in zip(candidates, progress["trials"], strict=True):
        assert len(shown["params"]) == len(candidate.params)
        assert shown["params"]["model"] == candidate.experiment.model.kind
        assert None not in shown["params"].values()
    assert any("hidden" in name for shown in progress["trials"] for name in shown["params"])
    json.dumps(progress)


def test_a_search_is_tracked_where_the_service_is_and_does_not_know_its_token(monkeypatch):
    for name, value in (("TSAD_TOKEN", "secret"), ("MLFLOW_RUN_ID", "7"), ("TSAD_DATA_DIR", "x"), ("HOME", "/home")):
        monkeypatch.setenv(name, value)
    found = search_runner("sqlite:///mlflow.db", Path("/data"), lambda folder: []).environment
    assert found["MLFLOW_TRACKING_URI"] == f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    assert (found["TSAD_DATA_DIR"], found["HOME"]) == ("/data", "/home")
    assert not {"TSAD_TOKEN", "MLFLOW_RUN_ID"} & found.keys()
    assert search_runner("http://mlflow:5000", Path(), list).environment["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"


# --- the supervisor ---

LEASHED = (PYTHON, "-m", "tsad.serving.child_supervisor", PYTHON, "-c")


def leashed(code, **more):
    return subprocess.Popen([*LEASHED, code], stdin=subprocess.PIPE, env=ENVIRONMENT, start_new_session=True, **more)


@pytest.mark.parametrize("status", [0, 3])
def test_the_leash_has_the_exit_status_of_the_command(status):
    with leashed(f"raise SystemExit({status})") as process:
        assert process.wait(30) == status


@pytest.mark.parametrize("owner", [signal.SIG_DFL, signal.SIG_IGN], ids=["by_hand", "in_the_background"])
def test_a_command_is_interrupted_when_its_leash_is_let_go(owner):
    code = "import time\ntry: print('on', flush=True); time.sleep(60)\nexcept KeyboardInterrupt: print('ended well')"
    with leashed(code, stdout=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, owner)) as process:
        assert process.stdout.readline() == b"on\n"
        process.stdin.close()
        assert process.stdout.read() == b"ended well\n"
        assert process.wait(30) == 0


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != b"Z"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="asks /proc whether a process lives")
def test_a_command_does_not_outlive_an_owner_that_is_killed(tmp_path):
    """The owner starts the supervisor and is killed, as the service may be."""
    command = (
        "import os, time; open('pid.new', 'w').write(str(os.getpid())); os.replace('pid.new', 'pid'); time.sleep(60)"
    )
    owner = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen({[str(word) for word in LEASHED]} + [{command!r}], stdin=subprocess.PIPE, start_new_session=True)\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen([PYTHON, "-c", owner], env=ENVIRONMENT, cwd=tmp_path)
    waited(lambda: (tmp_path / "pid").is_file())
    command_pid = int((tmp_path / "pid").read_text())
    assert alive(command_pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    waited(lambda: not alive(command_pid))


def waited(happened, seconds=30):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)
