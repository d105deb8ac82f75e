"""Tidying up: runs that stayed RUNNING because their process was killed."""

from collections.abc import Callable
from dataclasses import dataclass

from tsad.errors import SpecError
from tsad.tracking.failures import store_failures
from tsad.tracking.heartbeat import SILENCE
from tsad.tracking.orphans import Orphan, end_orphan, orphans, session_of
from tsad.workflows.context import open_context
from tsad.workflows.locks import is_dead


@dataclass(frozen=True)
class TidyResult:
    """Result of tidying up. `str()` is what the command line prints.

    Attributes:
        orphans: Runs whose process is gone, trials before searches.
        ended: Whether they were ended; False if nobody agreed.
        store: Tracking store that was looked at.
    """

    orphans: tuple[Orphan, ...]
    ended: bool
    store: str

    def __str__(self) -> str:
        if not self.orphans:
            return f"no run of {self.store} is RUNNING without a process"
        title = "ended as KILLED" if self.ended else "RUNNING without a process"
        return "\n".join([f"{title} in {self.store}:", *map(show_orphan, self.orphans)])


def show_orphan(orphan: Orphan) -> str:
    """Returns a line about an orphan."""
    return f"  {orphan.run_id}  {orphan.kind:<8} {orphan.name}: {orphan.reason}"


def tidy_runs(
    *, seconds: float = SILENCE, dry_run: bool = False, agree: Callable[[TidyResult], bool] | None = None
) -> TidyResult:
    """Ends runs that are RUNNING although their process is gone, as KILLED, in all experiments of the tracking store.

    A search of this machine holds a lock in its folder, which ends with its process. Of all other commands, also those of
    other machines, the tag `tsad.heartbeat` tells the last sign of life. Runs of other programs are left alone. A command that
    lives nevertheless, because the store was away or its machine slept, ends its runs as if nothing had happened.

    Args:
        seconds: Seconds without a sign of life after which a command counts as dead; commands give one every 15 seconds.
        dry_run: Whether nothing is changed, and the runs are only listed.
        agree: Is asked before runs are ended; None ends them without a question.

    Raises:
        SpecError: if `seconds` is less than a minute.
        TsadError: if the tracking store cannot be used.

    Example:
        >>> import tsad
        >>> tsad.tidy_runs(dry_run=True).orphans  # doctest: +SKIP
        ()
    """
    if seconds < 60:
        raise SpecError(
            f"seconds of silence must be at least 60, since commands give a sign of life every 15, but got {seconds:g}"
        )
    context = open_context()
    store, folders = context.store, context.settings.output_dir / "search"
    with store_failures(store.uri):
        dead = orphans(store, lambda leader: is_dead(folders, leader.info.run_id, session_of(leader)), seconds)
        result = TidyResult(tuple(dead), ended=False, store=store.shown)
        if dry_run or not result.orphans or (agree is not None and not agree(result)):
            return result
        for orphan in result.orphans:
            end_orphan(store, orphan)
    return TidyResult(result.orphans, ended=True, store=store.shown)
