"""Tasks: those that fail are named and stop no others, and few inputs are in memory at a time."""

import os

import pytest

from tsad.errors import DataError
from tsad.parallel import TaskOptions, run_tasks


def half(number):
    if number == 4:
        raise DataError("4 is\nno number")
    if number == 5:
        os._exit(1)  # as if the kernel had ended it for want of memory
    return number / 2


def results(numbers, options, made=None, unreadable=()):
    def make(number):
        if made is not None:
            made.append(number)
        if number in unreadable:
            raise DataError(f"{number} cannot be read")
        return number

    inputs = ((number, lambda number=number: make(number)) for number in numbers)
    return {ended.key: (ended.result, ended.error) for ended in run_tasks(half, inputs, options)}


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_one_after_the_other_without_ray(monkeypatch):
    monkeypatch.setattr("tsad.parallel.find_spec", lambda name: None)
    assert not TaskOptions(8).on_ray
    expected = {
        1: (0.5, ""),
        2: (None, "DataError: 2 cannot be read"),
        3: (1.5, ""),
        4: (None, "DataError: 4 is no number"),
    }
    assert results([1, 2, 3, 4], TaskOptions(8), unreadable={2}) == expected


def test_an_input_is_made_when_its_task_starts():
    made = []
    numbers = iter(run_tasks(half, ((n, lambda n=n: made.append(n) or n) for n in range(3)), TaskOptions(1)))
    next(numbers)
    assert made == [0]


@pytest.mark.parametrize(("parallel", "address", "on_ray"), [(1, "", False), (2, "", True), (1, "10.0.0.1:6379", True)])
def test_ray_is_used_for_more_than_one_at_a_time_and_for_a_cluster(monkeypatch, parallel, address, on_ray):
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert TaskOptions(parallel).on_ray is on_ray


@pytest.mark.slow
def test_side_by_side_each_task_ends_and_few_inputs_are_made_ahead():
    made, ahead = [], []
    inputs = ((n, lambda n=n: made.append(n) or n) for n in [0, 4, 5, *range(6, 20)])
    ended = {}
    for count, task in enumerate(run_tasks(half, inputs, TaskOptions(2)), 1):
        ended[task.key] = (task.result, task.error)
        ahead.append(len(made) - count)
    assert {key: result for key, (result, _) in ended.items()} == {n: n / 2 for n in [0, *range(6, 20)]} | {
        4: None,
        5: None,
    }
    assert ended[4][1] == "DataError: 4 is no number"
    assert ended[5][1].startswith("WorkerCrashedError")
    assert max(ahead) <= 4


@pytest.mark.slow
def test_more_gpus_than_there_are_end_it_before_it_starts(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(Exception, match="GPUs of a task must be at most those of this machine"):
        results([1], TaskOptions(2, gpus=1))
