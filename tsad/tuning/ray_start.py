"""Ray for a search: started on this machine or joined on a cluster, checked for room, and shut down."""

import logging
import math
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import ray
import torch

from tsad.errors import TsadError
from tsad.tuning.spec import SearchSpec

_logger = logging.getLogger(__name__)


@contextmanager
def running_ray(spec: SearchSpec) -> Iterator[None]:
    """Starts Ray for a search and shuts it down at the end; uses the Ray of this process if there is one, and leaves it running.

    What SIGTERM does is left to this process; Ray would end it at once, with its runs RUNNING.

    Raises:
        TsadError: if the machine has fewer GPUs than a trial needs.
    """
    _configure_tune()
    if ray.is_initialized():  # a notebook or another program has started it
        _check_nodes(spec, _nodes())
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    _init_ray(spec)
    if callable(handler) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        _stop_ray()


def _configure_tune() -> None:
    """Sets the variables that Ray Tune reads in this process."""
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"  # between rungs there is no value to report
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # the session records; no CSV, JSON and TensorBoard files
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C is a KeyboardInterrupt also before the first trial
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # Ray Tune prints nothing
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # our log has the trace of a failed trial
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def _nodes() -> list[Mapping[str, float]]:
    """Returns the resources of each node of Ray that lives."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _init_ray(spec: SearchSpec) -> None:
    """Starts Ray on this machine with the cores that the trials need, or joins the cluster of `RAY_ADDRESS`."""
    environment = {"env_vars": {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(threads(spec))}}
    gpus = torch.cuda.device_count() if spec.gpus else 0
    on_termination = signal.getsignal(signal.SIGTERM)
    if os.environ.get("RAY_ADDRESS"):
        ray.init(runtime_env=environment, log_to_driver=False)
        _check_nodes(spec, _nodes())
    elif spec.gpus > gpus:
        raise TsadError(
            f"search.gpus must be at most the GPUs of this machine, but got {spec.gpus:g} and there are {gpus}; set "
            f"search.gpus=0, or RAY_ADDRESS to a cluster that has them"
        )
    else:
        _check_cores(spec, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        ray.init(
            address="local",  # never another that runs here, or that left its address behind when it was killed
            num_cpus=math.ceil(spec.parallel * spec.cpus),
            num_gpus=gpus,
            include_dashboard=False,
            runtime_env=environment,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_termination)  # Ray puts its own in place, which ends the process on the spot


def _stop_ray() -> None:
    """Shuts Ray down. Ray takes the handler of SIGTERM away meanwhile; it is put back at once, to end runs in order."""
    handler = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        ray.shutdown()
        return
    stopping = threading.Thread(target=ray.shutdown)
    stopping.start()
    while stopping.is_alive():
        signal.signal(signal.SIGTERM, handler)
        stopping.join(0.005)
    signal.signal(signal.SIGTERM, handler)


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
