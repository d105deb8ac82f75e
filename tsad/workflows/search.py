"""Search: many trials, one champion."""

import math
import shutil
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tsad.assessment.assessment import Assessment
from tsad.assessment.file_names import DETECTOR
from tsad.assessment.summary import conclusion, show_comparison
from tsad.data.dataset import DataSet
from tsad.evaluation.registry import HEADLINES
from tsad.provenance import Provenance
from tsad.registry.gate import Decision
from tsad.selection.evidence import METRIC, SiblingMetrics
from tsad.selection.trial import DEFAULT, EndedTrials, Trial
from tsad.settings import without_password
from tsad.tracking.failures import store_failures
from tsad.tracking.memory import sibling_metrics
from tsad.tracking.orphans import end_orphan, orphans, session_of
from tsad.tracking.runs import RunWriter, leading_run
from tsad.tracking.search_files import write_space
from tsad.tracking.store import Store
from tsad.tracking.tags import Tag, provenance_tags
from tsad.tuning.plots import search_plots
from tsad.tuning.report import nas_report
from tsad.tuning.spec import SearchConfig, SearchSpec
from tsad.tuning.trial_table import show_trials, trial_table
from tsad.workflows.champion import NO_SIBLINGS, Champion, register_champion, reported_rows, select_champion
from tsad.workflows.context import Context, open_context
from tsad.workflows.events import Message, OnEvent, ignore
from tsad.workflows.inputs import NO_OVERRIDES, Rows, RowSource
from tsad.workflows.interrupted import InterruptedSearches, fetch
from tsad.workflows.locks import is_dead, locked, write_session
from tsad.workflows.payoff import payoff
from tsad.workflows.printing import command, html_table, lines, tracking_ui
from tsad.workflows.spaces import SpaceSource, read_space
from tsad.workflows.trials import record_trials

SERVICE = "http://127.0.0.1:5001"
"""Address of the page that `tsad serve` opens by default."""


@dataclass(frozen=True, eq=False)
class SearchResult:
    """Result of a search. `str()` is what the command line prints.

    Attributes:
        run_id: MLflow run of the search, the parent of its trials.
        trials: Trials that ended, the best first.
        champion: Best detector of the search, saved and registered.
        assessment: Report of the champion with baselines, chance level and intervals.
        decision: Decision of the promotion gate; None if nothing was registered.
        data: Name of the data.
        folder: Folder that holds all files of the search.
        tracking_uri: URI of the tracking store.
        experiment_id: MLflow experiment of the search.
    """

    run_id: str
    trials: tuple[Trial, ...]
    champion: Champion
    assessment: Assessment
    decision: Decision | None
    data: str
    folder: Path
    tracking_uri: str
    experiment_id: str | None = None

    @property
    def table(self) -> pd.DataFrame:
        """Trials, a row each, the best first: state, value, metrics, and the hyperparameters in which they differ."""
        return trial_table(self.trials)

    @property
    def payoff(self) -> str:
        """One line about whether the search paid: champion, default detector, median trial, best baseline, and the cost."""
        return payoff(self.trials, self.assessment, self.champion.metrics.get("value"))

    def __repr__(self) -> str:
        return (
            f"SearchResult(run_id={self.run_id!r}, trials={len(self.trials)}, champion={self.champion.name!r}, "
            f"uri={self.champion.uri!r})"
        )

    def __str__(self) -> str:
        legend = "" if self.assessment.labels is None else "; oracle/... read their labels, deployable/f1 did not"
        paragraphs = [
            show_trials(self.table),
            self.champion.remark,
            f"{reported_rows(self.data, self.assessment)}{legend}:\n{show_comparison(self.champion.name, self.assessment)}",
            self.payoff,
            conclusion(self.assessment),
            "" if self.decision is None else self.decision.text,
            lines(self._where()),
        ]
        return "\n\n".join(filter(None, paragraphs))

    def _repr_html_(self) -> str:
        metrics = self.assessment.report.metrics
        headlines = {name: metrics[name] for name in HEADLINES if name in metrics}
        title = f"{self.champion.name}, the best of {len(self.trials)} trials, {self.champion.uri or 'not registered'}"
        return html_table(title, headlines, conclusion(self.assessment))

    def _where(self) -> dict[str, object]:
        """Returns where the champion is, and the commands that reproduce it, open the UI and serve it."""
        champion, files = self.champion, self.champion.files
        where: dict[str, object] = {}
        if champion.uri is None:
            where["detector"] = files.detector
        else:
            where[champion.uri.rpartition("@")[2]] = f"{champion.uri}  (version {champion.version})"
        if files.schedule.is_file():
            where["schedule"] = files.schedule
        else:
            where["again"] = command("tsad", "train", files.config)
        where |= {"report": self.folder / "nas_report.txt", "look": tracking_ui(self.tracking_uri, self.experiment_id)}
        if champion.uri is not None:
            uri = f"MLFLOW_TRACKING_URI={without_password(self.tracking_uri)}"
            server = command(
                "mlflow", "models", "serve", "-m", champion.uri, "--env-manager", "local", "--port", "5001"
            )
            where["serve"] = f"{uri} {server}"
            where["page"] = f"{uri} {command('tsad', 'serve', champion.uri)}  ({SERVICE})"
        return where


def search(
    space: SpaceSource | None = None,
    overrides: Mapping[str, Any] = NO_OVERRIDES,
    *,
    data: RowSource | None = None,
    test: RowSource | None = None,
    label: str | None = None,
    time: str | None = None,
    trials: int | None = None,
    seconds: float | None = None,
    resume: bool | str = False,
    run_name: str | None = None,
    on_event: OnEvent = ignore,
) -> SearchResult:
    """Searches for the best detector, registers it, and promotes it to champion if it passes the gate.

    Every trial is an MLflow run below the run of the search. An interrupted search resumes with `resume=True`; no finished
    trial is lost or repeated.

    Args:
        space: Path of a search space's YAML file, its values, or a `SearchConfig`; None takes the quickstart space, which
            needs `data` and reads no labels.
        overrides: Values by path, such as `{"search.parallel": 1, "training.epochs": 5}`.
        data: Rows that replace the `data` section: a DataFrame in time order, or the path or address of a file.
        test: Test rows; without them the last part of `data` is the test part.
        label: Name of the column of labels, 0 or 1; they evaluate the champion, and select it only if
            `search.maximize` says so.
        time: Name of the column of times; a DatetimeIndex needs none.
        trials: Largest number of candidates to try.
        seconds: Time limit of the search.
        resume: Resume an interrupted search of the same space, data, algorithm and code: the one whose run has this id, or
            with True the newest; if there is none, a new search starts. What this machine lacks of it is fetched from the
            tracking store. With an id, `space` may be left out.
        run_name: Name of the MLflow run of the search; by default the space's name and the data's.
        on_event: Callback for progress.

    Raises:
        SpecError: if the search space is not valid, or a parsed `SearchConfig` comes with overrides or data.
        DataError: if the data cannot be read, or are too few.
        TsadError: if no trial finished.

    Example:
        >>> import pandas as pd, tsad
        >>> result = tsad.search(data=pd.read_csv("load.csv"), label="label", trials=8)  # doctest: +SKIP
        >>> result.champion.load().score(pd.read_csv("new.csv"))  # doctest: +SKIP
    """
    context = open_context()
    limits = {"search.trials": trials, "search.seconds": seconds}
    changes = {**overrides, **{path: value for path, value in limits.items() if value is not None}}
    run_id = resume if isinstance(resume, str) else None
    config = read_space(space, changes, Rows(data, test, label, time), context, run_id)
    dataset = context.load_data(config.data)
    with ExitStack() as stack, store_failures(context.store.uri):
        name = run_name or f"{config.name}-{dataset.name}"
        return _search(config, dataset, context, stack, name, resume=resume, on_event=on_event)


def _search(
    config: SearchConfig,
    data: DataSet,
    context: Context,
    stack: ExitStack,
    run_name: str,
    *,
    resume: bool | str,
    on_event: OnEvent,
) -> SearchResult:
    """Runs a search in a run and a folder of its own, both of which the stack closes."""
    store, folders = context.store, context.settings.output_dir / "search"
    raw, config = config, config.on(data)
    interrupted = InterruptedSearches(store, folders, config.search_fingerprint(data), on_event)
    earlier = interrupted.chosen(resume)
    if earlier is not None:
        stack.enter_context(locked(folders / earlier))
        fetch(store, earlier, folders / earlier, on_event)
    _end_orphans(store, folders)
    session = uuid.uuid4().hex
    tags = {**_tags(config, data), Tag.SESSION: session}
    writer = stack.enter_context(leading_run(store, run_name, tags, earlier))
    folder = folders / writer.run_id
    if earlier is None:
        stack.enter_context(locked(folder))
        writer.inputs(data)
        write_space(writer, raw.name, raw.values)
    else:  # parameters stay as they were logged first
        writer.tags({Tag.SESSION: session, **_limits(config.spec)})
    write_session(folder, session)
    writer.parameters({"search": config.spec.model_dump(mode="json"), "data": config.data.model_dump(mode="json")})
    if config.spec.anchors and not config.anchors:
        on_event(
            Message("no anchor fits these rows: the gap or the validation part leaves too few; set split.gap=auto")
        )
    siblings = _siblings(config.spec, data, store)
    ended = record_trials(config, data, context, writer, folder, on_event)
    trials = tuple(sorted((trial for trial, _ in ended), key=lambda trial: trial.rank))
    _write_report(config, [trial for trial, _ in ended], writer, folder)
    champion = select_champion(config.spec, ended, data, folder, config.name, siblings)
    default = _default_folder(ended, champion)
    champion, assessment, decision = register_champion(writer, data, champion, config.spec, default)
    experiment_id = store.experiment_of(writer.run_id)
    return SearchResult(
        writer.run_id, trials, champion, assessment, decision, data.name, folder, store.uri, experiment_id
    )


def _limits(spec: SearchSpec) -> dict[str, str]:
    """Returns the tags of the limits of a resumed session, which may differ from those of the first."""
    return {
        Tag.RESUMED_TRIALS: str(spec.trials),
        Tag.RESUMED_SECONDS: str(spec.seconds),
        Tag.RESUMED_PARALLEL: str(spec.parallel),
    }


def _end_orphans(store: Store, folders: Path) -> None:
    """Ends the runs of searches that were killed on this machine."""
    for orphan in orphans(store, lambda run: is_dead(folders, run.info.run_id, session_of(run)), math.inf):
        end_orphan(store, orphan)


def _default_folder(ended: EndedTrials, champion: Champion) -> Path | None:
    """Returns the folder of the default detector, None if there is none or it is part of the champion."""
    for trial, folder in ended:
        is_default = trial.candidate.anchor == DEFAULT and trial.state == "finished"
        if is_default and folder is not None and trial.candidate.name not in champion.trials:
            return folder / DETECTOR
    return None


def _siblings(spec: SearchSpec, data: DataSet, store: Store) -> SiblingMetrics:
    """Returns what labeled searches on other rows with the same columns got, as `search.memory` says."""
    if spec.memory == "none" or spec.champion != "evidence":
        return NO_SIBLINGS
    return sibling_metrics(store, data, METRIC, None if spec.memory == "auto" else spec.memory)


def _tags(config: SearchConfig, data: DataSet) -> dict[str, str]:
    return {
        Tag.KIND: "search",
        Tag.ALGORITHM: config.spec.algorithm.kind,
        Tag.SEARCH_FINGERPRINT: config.search_fingerprint(data),
        **provenance_tags(Provenance(selection=config.spec.maximize.labels_used)),
    }


def _write_report(config: SearchConfig, trials: list[Trial], writer: RunWriter, folder: Path) -> None:
    """Writes and logs the table of trials, the report and its plots."""
    trial_table(trials).to_csv(folder / "trials.csv", index=False)
    (folder / "nas_report.txt").write_text(nas_report(trials, config.spec, config.space, config.name), encoding="utf-8")
    plots = folder / "search_plots"
    shutil.rmtree(plots, ignore_errors=True)
    plots.mkdir()
    for name, figure in search_plots(trials, config.spec, config.space).items():
        figure.savefig(plots / f"{name}.png", dpi="figure")
    writer.files(plots, "search_plots")
    for name in ("trials.csv", "nas_report.txt"):
        writer.file(folder / name)
