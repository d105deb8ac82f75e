"""Whether the trials of a search fit where they are to run."""

import pytest

from tsad.spec import parse
from tsad.tuning.ray_start import _check_cores, _check_nodes
from tsad.tuning.spec import SearchSpec


def spec(**values):
    return parse(SearchSpec, {"parallel": 4, "cpus": 2, **values}, "search")


@pytest.mark.parametrize(
    ("values", "cores", "way_out"),
    [({}, 4, "set search.parallel=2"), ({"cpus": 8}, 4, "set search.cpus=4"), ({}, 8, None), ({"cpus": 0.5}, 2, None)],
)
def test_more_cores_than_the_machine_has_are_warned_of(caplog, values, cores, way_out):
    _check_cores(spec(**values), cores)
    assert (way_out is None) == (not caplog.text)
    assert (way_out or "") in caplog.text


def test_a_trial_that_fits_on_no_node_is_told_with_what_the_nodes_have(caplog):
    _check_nodes(spec(gpus=1), [{"CPU": 64.0}, {"CPU": 1.0, "GPU": 4.0}])
    assert (
        "needs 2 cores and 1 GPUs and the nodes of the cluster have 64 cores and 0 GPUs, 1 cores and 4 GPUs"
        in caplog.text
    )
    caplog.clear()
    _check_nodes(spec(), [])
    assert "the nodes of the cluster have none" in caplog.text


def test_a_cluster_with_room_for_fewer_trials_is_warned_of_and_one_with_room_is_not(caplog):
    _check_nodes(spec(), [{"CPU": 3.0}, {"CPU": 3.0}])  # a trial each, although there are six cores
    assert "it has room for 2" in caplog.text
    caplog.clear()
    _check_nodes(spec(), [{"CPU": 4.0}, {"CPU": 5.0}])
    assert not caplog.text
