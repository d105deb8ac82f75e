"""Ray for a search: its settings, and whether its trials have room."""

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import ray

from tsad.ray_session import RayNeeds, ray_session
from tsad.tuning.spec import SearchSpec

_logger = logging.getLogger(__name__)


@contextmanager
def running_ray(spec: SearchSpec) -> Iterator[None]:
    """Starts Ray for a search, and warns if its trials have too little room; the Ray of this process is used if there is one.

    Raises:
        TsadError: if the machine has fewer GPUs than a trial needs.
    """
    _configure_tune()
    is_local = not (ray.is_initialized() or os.environ.get("RAY_ADDRESS"))
    if is_local:
        _check_cores(spec, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    needs = RayNeeds(math.ceil(spec.parallel * spec.cpus), threads(spec), spec.gpus, "search.gpus")
    with ray_session(needs):
        if not is_local:
            _check_nodes(spec, _nodes())
        yield


def _configure_tune() -> None:
    """Sets the variables that Ray Tune reads in this process."""
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"  # between rungs there is no value to report
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # the session records; no CSV, JSON and TensorBoard files
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C is a KeyboardInterrupt also before the first trial
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # Ray Tune prints nothing
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # our log has the trace of a failed trial


def _nodes() -> list[Mapping[str, float]]:
    """Returns the resources of each node of Ray that lives."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def threads(spec: SearchSpec) -> int:
    """Returns the threads of a trial: its cores, since trials with more threads than cores starve each other."""
    return max(1, int(spec.cpus))


def _check_cores(spec: SearchSpec, cores: int) -> None:
    """Warns if the trials that run side by side want more cores than this machine gives to the command."""
    cores_of_trials = spec.parallel * spec.cpus
    if cores_of_trials > cores:
        fitting = max(1, int(cores / spec.cpus))
        way_out = f"set search.parallel={fitting}" if fitting * spec.cpus <= cores else f"set search.cpus={cores}"
        _logger.warning(
            "search.parallel=%d trials of search.cpus=%g cores should fit into the %d cores of this machine, but take %g, and "
            "slow each other down; %s",
            spec.parallel,
            spec.cpus,
            cores,
            cores_of_trials,
            way_out,
        )


def _check_nodes(spec: SearchSpec, nodes: Sequence[Mapping[str, float]]) -> None:
    """Warns if no node of a cluster can run a trial; an autoscaler may add one."""
    if any(node.get("CPU", 0) >= spec.cpus and node.get("GPU", 0) >= spec.gpus for node in nodes):
        room = sum(int(node.get("CPU", 0) // spec.cpus) for node in nodes)
        if room < spec.parallel:
            _logger.warning(
                "search.parallel=%d trials of search.cpus=%g cores should fit into the cluster, but it has room for %d; the "
                "others wait; set search.parallel=%d, or add nodes",
                spec.parallel,
                spec.cpus,
                room,
                room,
            )
        return
    largest = ", ".join(f"{node.get('CPU', 0):g} cores and {node.get('GPU', 0):g} GPUs" for node in nodes) or "none"
    _logger.warning(
        "a trial must fit on one node, but needs %g cores and %g GPUs and the nodes of the cluster have %s; the search waits for "
        "a larger node; interrupt it and lower search.cpus or search.gpus, or add a node",
        spec.cpus,
        spec.gpus,
        largest,
    )
