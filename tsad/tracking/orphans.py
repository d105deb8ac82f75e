"""Runs that are RUNNING although the process that wrote them is gone."""

from collections.abc import Callable
from dataclasses import dataclass

from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from tsad.tracking.heartbeat import SILENCE, last_sign, owner, silence
from tsad.tracking.runs import RunWriter
from tsad.tracking.store import Store
from tsad.tracking.tags import Tag

_OURS = {Tag.KIND, Tag.TRIAL, Tag.HEARTBEAT}
"""Tags of which each run of ours has one."""


@dataclass(frozen=True)
class Orphan:
    """A run whose process is gone.

    Attributes:
        run_id: Id of the run.
        name: Name of the run.
        kind: Kind of the run, such as `search`, or `trial`.
        reason: How one knows that the process is gone.
    """

    run_id: str
    name: str
    kind: str
    reason: str


def orphans(store: Store, is_dead: Callable[[Run], bool | None], seconds: float = SILENCE) -> list[Orphan]:
    """Returns the orphans of all experiments, trials before searches; runs of other programs are never among them.

    A run below another one, such as a trial, is written by the process of that one.

    Args:
        store: Tracking store of the runs.
        is_dead: Returns whether the process that leads a run is gone, None if this machine does not know; then the last
            sign of life decides.
        seconds: Seconds without a sign of life after which a process counts as gone.
    """
    experiments = [experiment.experiment_id for experiment in store.experiments()]
    running = {run.info.run_id: run for run in store.search(experiments, "attributes.status = 'RUNNING'")}
    owners: dict[str, Run] = {}
    result = []
    for run in running.values():
        if not _OURS & run.data.tags.keys():
            continue
        owner_id = owner(run)
        if owner_id not in owners:
            owners[owner_id] = running.get(owner_id) or store.client.get_run(owner_id)
        reason = _reason(run, owners[owner_id], is_dead(owners[owner_id]), seconds)
        if reason:
            kind = "trial" if Tag.TRIAL in run.data.tags else run.data.tags.get(Tag.KIND, "run")
            result.append(Orphan(run.info.run_id, run.info.run_name, kind, reason))
    return sorted(result, key=lambda orphan: MLFLOW_PARENT_RUN_ID not in running[orphan.run_id].data.tags)


def _reason(run: Run, leader: Run, dead: bool | None, seconds: float) -> str:  # noqa: FBT001
    """Returns why the process of a run is gone; empty if it lives."""
    if dead is not None:
        return "its process on this machine is gone" if dead else ""
    silent = min(silence(run), silence(leader))
    if silent < seconds:
        return ""
    sign = max(last_sign(run), last_sign(leader))
    return f"no sign of life since {sign:%Y-%m-%d %H:%M:%S} UTC"


def end_orphan(store: Store, orphan: Orphan) -> None:
    """Ends the run of an orphan as KILLED; does nothing if it has ended meanwhile."""
    if store.client.get_run(orphan.run_id).info.status != "RUNNING":
        return
    writer = RunWriter(store.client, orphan.run_id)
    state = {Tag.STATE: "stopped"} if orphan.kind == "trial" else {}
    writer.tags({Tag.REASON: orphan.reason, **state})
    writer.end("KILLED")


def session_of(run: Run) -> str | None:
    """Returns the id of the last session of a search, None for other runs."""
    session: str | None = run.data.tags.get(Tag.SESSION)
    return session
