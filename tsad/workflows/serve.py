"""`tsad serve`: one detector behind HTTP."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tsad.drift import Recalibration
from tsad.selection.trial import Candidate, Trial
from tsad.serving.app import Dependencies, Limits, create_app
from tsad.serving.jobs import OUTPUTS, JobLimits, search_runner
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.served_model import open_model
from tsad.serving.server import listen
from tsad.tuning.journal import JOURNAL, EndedEvent, Journal, ProposedEvent
from tsad.workflows.context import Context, open_context
from tsad.workflows.locks import locked
from tsad.workflows.recalibrate import track_recalibration


@dataclass(frozen=True)
class Options:
    """Options of the service.

    Attributes:
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.
        hosts: Names by which the service may be called, besides localhost.
        token: Token that every request must carry; None for no token.
        state: Folder for what survives a restart; by default `service` in the output folder.
        wait: Seconds that `/train_predict` waits before it answers with a job.
        max_bytes: Largest body of a request, in bytes.
        max_rows: Largest number of rows of a request.
        workers: Number of requests that are scored side by side, on one thread each.
        job_seconds: Seconds after which a search is ended.
    """

    host: str = "127.0.0.1"
    port: int = 5001
    hosts: tuple[str, ...] = ()
    token: str | None = None
    state: Path | None = None
    wait: float = 240
    max_bytes: int = 16_000_000
    max_rows: int = 100_000
    workers: int = 2
    job_seconds: float = 3600


DEFAULTS = Options()


def serve(model: str, options: Options = DEFAULTS, *, on_start: Callable[[str], None] = lambda address: None) -> None:
    """Serves a model over HTTP until the process is interrupted.

    Args:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `runs:/RUN_ID/detector`, or the folder of a saved detector.
        options: Options of the service.
        on_start: Callback that gets the address once the service listens.

    Raises:
        DetectorError: if there is no such model.
        TsadError: if another service uses the state folder.
    """
    context = open_context()
    state = (options.state or context.settings.output_dir / "service").resolve()
    rules = SecurityPolicy(options.hosts, options.token or None, options.max_bytes)
    limits = Limits(options.max_rows, options.workers, options.wait, JobLimits(seconds=options.job_seconds))
    runner = search_runner(context.store.uri, context.settings.data_dir.resolve(), _trials)
    with locked(state):
        served = open_model(model, state)
        dependencies = Dependencies(state, runner, lambda record: _track(context, record))
        app = create_app(served, dependencies, rules, limits)
        listen(app, options.host, options.port, lambda port: on_start(f"http://{options.host}:{port}"))


def _trials(folder: Path) -> list[tuple[Candidate, Trial | None]]:
    """Returns the candidates of the search that a job's process runs, each with its trial if that has ended."""
    events = [event for path in folder.glob(f"{OUTPUTS}/search/*/{JOURNAL}") for event in Journal(path).peek()]
    ended = {event.trial.candidate.number: event.trial for event in events if isinstance(event, EndedEvent)}
    proposed = [event.candidate for event in events if isinstance(event, ProposedEvent)]
    return [(candidate, ended.get(candidate.number)) for candidate in proposed]


def _track(context: Context, record: Recalibration) -> None:
    """Tracks a recalibration of the service as a run."""
    track_recalibration(context.store, record, {})
