"""Ray for the time of a piece of work: started on this machine or joined on a cluster, and shut down in order."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from tsad.errors import TsadError


@dataclass(frozen=True)
class RayNeeds:
    """Resources that a piece of work takes on this machine; a cluster has its own.

    Attributes:
        cores: Number of cores that Ray hands out.
        threads: Number of threads of a task.
        gpus: GPUs of a task, fractions too; 0 for none.
        gpus_setting: Name of the setting of `gpus`, for errors.
    """

    cores: int
    threads: int
    gpus: float = 0
    gpus_setting: str = "gpus"


@contextmanager
def ray_session(needs: RayNeeds) -> Iterator[None]:
    """Starts Ray on this machine, or joins the cluster of `RAY_ADDRESS`; a Ray of this process is used, and left running.

    The handler of SIGTERM stays that of this process: Ray's own would end it at once, with its runs RUNNING.

    Raises:
        TsadError: if the machine has fewer GPUs than a task needs.
    """
    import ray

    if ray.is_initialized():  # a notebook or another program has started it
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    handler = signal.getsignal(signal.SIGTERM)
    _start(needs)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        _stop()


def _start(needs: RayNeeds) -> None:
    import ray

    environment = {"env_vars": {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(needs.threads)}}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(runtime_env=environment, log_to_driver=False)
        return
    gpus = torch.cuda.device_count() if needs.gpus else 0
    if needs.gpus > gpus:
        raise TsadError(
            f"GPUs of a task must be at most those of this machine, but got {needs.gpus:g} and there are {gpus}; set "
            f"{needs.gpus_setting}=0, or RAY_ADDRESS to a cluster that has them"
        )
    ray.init(
        address="local",  # never another that runs here, or that left its address behind when it was killed
        num_cpus=needs.cores,
        num_gpus=gpus,
        include_dashboard=False,
        runtime_env=environment,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def _stop() -> None:
    """Shuts Ray down. Ray takes the handler of SIGTERM away meanwhile; it is put back at once, to end runs in order."""
    import ray

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
