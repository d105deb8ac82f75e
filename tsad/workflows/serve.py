"""`tsad serve`: detectors and fleets behind HTTP."""

import ipaddress
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from tsad.detector.loaded import MOST, LoadedDetectors
from tsad.drift import Recalibration
from tsad.errors import TsadError
from tsad.selection.trial import Candidate, Trial
from tsad.serving.app import create_app
from tsad.serving.connections import ConnectionLimits
from tsad.serving.jobs import JOBS, OUTPUTS, JobLimits
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.models_in_service import ModelToServe
from tsad.serving.proxies import ProxyRules
from tsad.serving.row_sources import SourceRules
from tsad.serving.search_runner import search_runner
from tsad.serving.server import listen
from tsad.serving.service_parts import Dependencies, Limits
from tsad.serving.timeouts import Timeouts
from tsad.serving.tokens import Tokens, check_token
from tsad.settings import Settings
from tsad.tracking.search_runs import end_orphans
from tsad.tracking.store import name_store
from tsad.tuning.journal import JOURNAL, EndedEvent, Journal, ProposedEvent
from tsad.workflows.context import Context, open_context
from tsad.workflows.locks import is_held, locked
from tsad.workflows.served_models import NamedModel, named_models, open_models
from tsad.workflows.tokens import token_file


@dataclass(frozen=True)
class Options:
    """Options of the service.

    Attributes:
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.
        hosts: Names by which the service may be called, besides localhost.
        token: Token of the role `admin`; None takes `TSAD_TOKEN` of the environment or of `.env`, if it is set.
        tokens: File of further tokens with roles; None takes that of `tsad token`.
        proxies: Addresses or networks of proxies whose `X-Forwarded-*` headers are believed.
        root_path: Path that a proxy reaches the service below, such as `/tsad`.
        insecure: Listen at an address that other machines reach although there is no token.
        trust: Run the code that is stored in the model, as `mlflow models serve` does, in place of the installed one.
        gate: Experiment whose rows decide about promotions of candidates; None allows none.
        production: Names of the tokens whose rows may count as production; none for all that may score.
        state: Folder for what survives a restart; by default `service` in the output folder.
        wait: Seconds that `/train_predict` waits before it answers with a job.
        max_bytes: Largest body of a request, in bytes.
        max_rows: Largest number of rows of a request.
        max_cells: Largest number of cells of a request.
        max_connections: Largest number of open connections.
        max_per_address: Largest number of open connections from one address; None for half of all.
        timeouts: Seconds by name of what must happen in them: `head`, `body`, `answer`, `fetch`, `idle`.
        workers: Number of requests that are scored side by side, on one thread each.
        job_seconds: Seconds after which a search is ended.
        poll: Seconds between two looks at the alias of a model; 0 keeps the version of the start.
        detectors: Largest number of detectors in memory, of all models and of the entities of fleets.
    """

    host: str = "127.0.0.1"
    port: int = 5001
    hosts: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)
    tokens: Path | None = None
    proxies: tuple[str, ...] = ()
    root_path: str = ""
    insecure: bool = False
    trust: bool = False
    gate: Path | None = None
    production: tuple[str, ...] = ()
    state: Path | None = None
    wait: float = 240
    max_bytes: int = 16_000_000
    max_rows: int = 100_000
    max_cells: int = 2_000_000
    max_connections: int = 500
    max_per_address: int | None = None
    timeouts: Mapping[str, float] = field(default_factory=dict)
    workers: int = 2
    job_seconds: float = 3600
    poll: float = 30
    detectors: int = MOST


_log = logging.getLogger(__name__)

DEFAULTS = Options()

_EVERYWHERE = ("", "0", "0.0.0.0", "::")  # noqa: S104 (these are recognized, and nothing listens at them)

_RETRIES = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""MLflow tries a server that is away for minutes; whoever waits for the service wants to know sooner."""


def serve(
    model: str | Sequence[str],
    options: Options = DEFAULTS,
    *,
    on_start: Callable[[str], None] = lambda address: None,
    on_notice: Callable[[str], None] = lambda sentence: None,
) -> None:
    """Serves one or several models over HTTP until the process is interrupted.

    Args:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `runs:/RUN_ID/detector`, or the folder of a saved detector or fleet;
            or several of them, each with a name of its own (`NAME=URI`), the one for paths that name no model first.
        options: Options of the service.
        on_start: Callback that gets the address of the page once the service listens.
        on_notice: Callback that gets sentences before the service listens: which versions of tsad and of the model it is, and
            who can use it.

    Raises:
        DetectorError: if there is no such model.
        SpecError: if two models have one name.
        TsadError: if another service uses the state folder, a token is blank, or other machines would reach the service
            without a token.
    """
    for name, value in _RETRIES.items():
        os.environ.setdefault(name, value)
    context = open_context()
    rules = _policy(options, context.settings)
    protection = _protection(options, Tokens(rules.token, rules.token_file))
    gate = None if options.gate is None else _existing(options.gate)
    state = (options.state or context.settings.output_dir / "service").resolve()
    jobs = JobLimits(seconds=options.job_seconds)
    limits = Limits(
        options.max_rows, options.workers, options.wait, jobs, cells=options.max_cells, detectors=options.detectors
    )
    models, loaded = named_models([model] if isinstance(model, str) else model), LoadedDetectors(options.detectors)
    connections = _connections(options, rules.proxies)
    runner = search_runner(_tracking_uri(context, models), context.settings.data_dir.resolve(), _trials)
    with locked(state):
        opened = open_models(models, state, loaded, trust=options.trust, poll=options.poll)
        _end_orphans(context, state)
        dependencies = Dependencies(
            state,
            runner,
            lambda record: _track(context, record),
            gate,
            SourceRules(options.production),
            _secret(context.settings),
        )
        app = create_app(opened, dependencies, rules, limits)
        for sentence in (_announced(opened), protection):
            on_notice(sentence)
        try:
            listen(app, options.host, options.port, lambda port: on_start(_address(options.host, port)), connections)
        finally:  # a signal to all processes ends Ray, and with it a search that could not end its runs any more
            _end_orphans(context, state)


def _announced(models: Sequence[ModelToServe]) -> str:
    """Returns a sentence about what is served, and by which version of tsad."""
    sentences = []
    for model in models:
        source, detectors = model.served.source, model.served.detectors
        kind = f"{detectors.kind}, {len(detectors.features)} features"
        uri = source.uri if source.version is None else f"{source.uri}, version {source.version} of {source.name}"
        sentences.append(f"{uri} ({kind})" if len(models) == 1 else f"{model.name}: {uri} ({kind})")
    return f"tsad {version('tsad')} serves {'; '.join(sentences)}."


def _address(host: str, port: int) -> str:
    """Returns the address at which a browser on this machine finds the page.

    >>> _address("::1", 5001), _address("0.0.0.0", 80)
    ('http://[::1]:5001', 'http://localhost:80')
    """
    if host in _EVERYWHERE:
        return f"http://localhost:{port}"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _tracking_uri(context: Context, models: Sequence[NamedModel]) -> str:
    """Returns the URI of the tracking store, whether or not it answers: a copy of the model may be here.

    A saved detector needs no store, which is opened by the first job or recalibration.
    """
    if not any(model.uri.startswith(("models:/", "runs:/")) for model in models):
        name_store(context.settings.tracking_uri)
        return context.settings.tracking_uri
    try:
        return context.store.uri
    except TsadError as error:
        _log.warning("%s", error)
        return context.settings.tracking_uri


def _secret(settings: Settings) -> str | None:
    """Returns the secret of MLflow's webhooks; raises `TsadError` if it is blank."""
    secret = None if settings.webhook_secret is None else settings.webhook_secret.get_secret_value()
    if secret is not None and not secret.strip():
        raise TsadError("TSAD_WEBHOOK_SECRET must have characters, but is blank; set it, or unset it")
    return secret


def _end_orphans(context: Context, state: Path) -> None:
    """Ends the runs of jobs that are gone, which were killed with this service or with the one before it."""
    folders = {path.name: path for path in state.glob(f"{JOBS}/*/{OUTPUTS}/*/*") if path.is_dir()}
    if not folders:
        return
    try:
        end_orphans(context.store, lambda run_id: run_id in folders and not is_held(folders[run_id]))
    except Exception as error:  # whatever MLflow raises for a server that is away
        _log.warning("runs of killed searches stay RUNNING, because the tracking server is away: %s", error)


def _policy(options: Options, settings: Settings) -> SecurityPolicy:
    """Returns who may ask for what; raises `TsadError` if a token is blank."""
    configured = None if settings.token is None else settings.token.get_secret_value()
    token = check_token(configured if options.token is None else options.token)
    file = token_file(settings) if options.tokens is None else options.tokens.resolve()
    proxies = ProxyRules.of(options.proxies, options.root_path)
    times = Timeouts.of(options.timeouts)
    return SecurityPolicy(
        options.hosts,
        token,
        file,
        options.max_bytes,
        read_seconds=times.body,
        answer_seconds=times.answer,
        proxies=proxies,
    )


def _connections(options: Options, proxies: ProxyRules) -> ConnectionLimits:
    """Returns the limits of connections; raises `TsadError` if a timeout is none."""
    times = Timeouts.of(options.timeouts)
    return ConnectionLimits(
        options.max_connections,
        options.max_per_address,
        proxies,
        head_seconds=times.head,
        idle_seconds=times.idle,
        write_seconds=times.fetch,
    )


def _protection(options: Options, tokens: Tokens) -> str:
    """Returns a sentence about who can use the service.

    Raises:
        TsadError: if the file of tokens is damaged, or other machines would reach the service without a token.
    """
    if tokens.damage is not None:
        raise TsadError(tokens.damage)
    if options.production and not tokens.needed:
        raise TsadError(
            f"--production names tokens, but no token is needed ({', '.join(options.production)}); create them first "
            "(tsad token create NAME --role score), or leave it out"
        )
    if tokens.needed:
        return f"Requests need a token: {tokens.described()}."
    if _is_loopback(options.host):
        return "No token is needed: whoever reaches this machine's loopback can read and score; nobody can promote."
    if options.insecure:
        return f"INSECURE: no token is needed, and whoever reaches {options.host} can read and score."
    raise TsadError(
        f"a service that other machines reach needs a token, but --host is {options.host} and there is no token; "
        "create one (tsad token create NAME --role score), set TSAD_TOKEN, or let everybody in with --insecure"
    )


def _is_loopback(host: str) -> bool:
    """Returns whether every address of a host is one that other machines do not reach."""
    try:
        addresses = {str(entry[4][0]) for entry in socket.getaddrinfo(host or None, None, flags=socket.AI_PASSIVE)}
    except OSError:
        return False  # listening there will fail and say why
    return all(_is_own(ipaddress.ip_address(address.partition("%")[0])) for address in addresses)


def _is_own(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise TsadError(f"--gate must be the file of an experiment, but {path} is none")
    return path.resolve()


def _trials(folder: Path) -> list[tuple[Candidate, Trial | None]]:
    """Returns the candidates of the search that a job's process runs, each with its trial if that has ended."""
    events = [event for path in folder.glob(f"{OUTPUTS}/search/*/{JOURNAL}") for event in Journal(path).peek()]
    ended = {event.trial.candidate.number: event.trial for event in events if isinstance(event, EndedEvent)}
    proposed = [event.candidate for event in events if isinstance(event, ProposedEvent)]
    return [(candidate, ended.get(candidate.number)) for candidate in proposed]


def _track(context: Context, record: Recalibration) -> None:
    """Tracks a recalibration of the service as a run."""
    from tsad.workflows.recalibrate import track_recalibration  # loads plots and SQL, which the start need not wait for

    track_recalibration(context.store, record, {})
