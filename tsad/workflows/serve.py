"""`tsad serve`: one detector behind HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tsad.selection.trial import Candidate, Trial
from tsad.serving.app import Limits, Surroundings, create_app
from tsad.serving.jobs import OUTPUTS, JobLimits, search_runner
from tsad.serving.middleware import Rules
from tsad.serving.served_model import Served, open_model
from tsad.serving.server import listen
from tsad.tracking.runs import leading_run
from tsad.tracking.tags import Tag
from tsad.tuning.journal import JOURNAL, EndedEvent, Journal, ProposedEvent
from tsad.workflows.context import Place, open_place
from tsad.workflows.locks import claimed


@dataclass(frozen=True)
class Options:
    """What `tsad serve` may be told.

    Attributes:
        host: Address to listen at.
        port: 0 for a free one.
        hosts: Names it may be called by, beside the loopback's.
        token: That each request must bear, if any.
        state: Folder for what survives a restart; `service` in the output folder if not given.
        wait: Seconds that `/train_predict` waits before it answers with a job.
        max_bytes: Of a request's body.
        max_rows: Of a request.
        workers: Requests that are scored side by side, on one thread each.
        job_seconds: After which a search is ended.
    """

    host: str
    port: int
    hosts: tuple[str, ...]
    token: str | None
    state: Path | None
    wait: float
    max_bytes: int
    max_rows: int
    workers: int
    job_seconds: float


def serve(model: str, options: Options) -> None:
    """Serves the model behind a URI or in a folder until somebody ends it."""
    place = open_place()
    state = (options.state or place.settings.output_dir / "service").resolve()
    rules = Rules(options.hosts, options.token or None, options.max_bytes)
    limits = Limits(options.max_rows, options.workers, options.wait, JobLimits(seconds=options.job_seconds))
    runner = search_runner(place.store.uri, place.settings.data_dir.resolve(), _trials)
    with claimed(state):
        served = open_model(model, state)
        surroundings = Surroundings(state, runner, lambda done: _note(place, served, done))
        app = create_app(served, surroundings, rules, limits)
        listen(
            app,
            options.host,
            options.port,
            lambda port: click.echo(f"{model} is served on http://{options.host}:{port}"),
        )


def _trials(folder: Path) -> list[tuple[Candidate, Trial | None]]:
    """Returns the candidates of the search that a job's process runs, each with its trial if that has ended."""
    events = [event for path in folder.glob(f"{OUTPUTS}/search/*/{JOURNAL}") for event in Journal(path).peek()]
    ended = {event.trial.candidate.number: event.trial for event in events if isinstance(event, EndedEvent)}
    proposed = [event.candidate for event in events if isinstance(event, ProposedEvent)]
    return [(candidate, ended.get(candidate.number)) for candidate in proposed]


def _note(place: Place, served: Served, done: Mapping[str, Any]) -> None:
    """Tracks a recalibration as a run."""
    tags = {Tag.KIND: "recalibration", Tag.MODEL: served.origin.uri}
    with leading_run(place.store, "recalibration", tags) as writer:
        writer.parameters(done)
        writer.metrics({f"threshold/{when}": done[when]["value"] for when in ("before", "after")})
