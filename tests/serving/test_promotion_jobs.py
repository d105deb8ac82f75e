"""What a request may register, and what sends a candidate to the gate."""

from dataclasses import replace

import pytest

from tests.serving.services import csv, saved_detector
from tsad.registry.register import candidates_of
from tsad.serving.errors import RequestError
from tsad.serving.jobs import JobLimits, JobRunner, Jobs
from tsad.serving.promotion_jobs import NewPromotion, task_of_promotion
from tsad.serving.requests import CSV, JSON, Body
from tsad.serving.search_jobs import task_of_search
from tsad.serving.served_model import ServedModel, open_model
from tsad.serving.train_predict import TrainPredictRequest, task_of


@pytest.fixture(scope="module")
def opened_model(folder, rows):
    return open_model(str(folder / "detector"), folder / "beside")


def named(model, name):
    """The model as if it came from the registry under a name."""
    return ServedModel(replace(model.source, name=name, version="1", uri=f"models:/{name}@champion"), model.pyfunc)


@pytest.mark.parametrize("name", [None, "tsad", "pump 7", "tsad-candidates", "a.b_c-d", "Größe", "x/y"])
def test_no_search_of_a_request_registers_under_the_served_name(opened_model, folder, name):
    served = opened_model if name is None else named(opened_model, name)
    many = saved_detector(folder / "again")[1]
    rows = csv(many.part(0, 100)).splitlines()
    table = Body("\n".join([rows[0], *(rows[1:] * 12)]).encode(), CSV)
    for body in (table, Body(b"{}", JSON), Body(b'{"series": "synthetic", "trials": 1}', JSON)):
        registered = task_of_search(body, served, 3, 10_000).space["search"]["register"]
        assert registered == candidates_of(name)
        assert registered not in {name, "tsad"}
    space = task_of(TrainPredictRequest(y_true=tuple(map(float, range(50)))), lambda folder: []).space
    assert space["search"]["register"] is None


def test_a_promotion_compares_with_the_champion_of_the_served_model_on_the_rows_of_the_operator(opened_model, tmp_path):
    task = task_of_promotion(NewPromotion(version=7), named(opened_model, "pump"), tmp_path / "gate.yaml")
    assert task.command[3:] == (
        "promote",
        "models:/pump-candidates/7",
        "--data",
        str(tmp_path / "gate.yaml"),
        "--into",
        "pump",
    )
    assert (task.kind, task.trials, task.goes_first) == ("promotion", 0, True)


def test_without_rows_or_registry_nothing_is_promoted(opened_model, tmp_path):
    with pytest.raises(RequestError, match=r"needs rows that nobody sent, .* start it with --gate EXPERIMENT.yaml"):
        task_of_promotion(NewPromotion(version=1), named(opened_model, "pump"), None)
    with pytest.raises(RequestError, match="only a registered model has a champion"):
        task_of_promotion(NewPromotion(version=1), opened_model, tmp_path)


def test_a_promotion_goes_before_the_searches_that_wait(opened_model, tmp_path):
    import asyncio

    search = task_of_search(Body(b"{}", JSON), opened_model, 3, 10)
    promotion = task_of_promotion(NewPromotion(version=7), named(opened_model, "pump"), tmp_path)

    async def run():
        jobs = Jobs(tmp_path / "jobs", JobRunner(("false",), {}, lambda folder: []), JobLimits(queued=2))
        first, second = jobs.submit(search), jobs.submit(search)
        with pytest.raises(RequestError, match="2 jobs wait already"):
            jobs.submit(search)
        urgent = jobs.submit(promotion)
        places = [jobs.described(job)["position"] for job in (first, second, urgent)]
        total = jobs.described(urgent)["progress"]["total"]
        await jobs.close()
        return places, total

    assert asyncio.run(run()) == ([2, 3, 1], 0)
