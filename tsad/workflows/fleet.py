"""Training of a fleet: a detector for each entity of a data set, in a run of its own below one run that holds all of them."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from tsad.assessment.file_names import DETECTOR
from tsad.config import ExperimentConfig
from tsad.data.cache import FromFiles
from tsad.data.entities import EntityRows, entities_of
from tsad.data.io.containers.location import Address
from tsad.data.io.read_options import ReadOptions
from tsad.detector.detector import DESCRIPTION
from tsad.errors import TrainingError
from tsad.evaluation.registry import HEADLINES
from tsad.fleet import ENTITIES, SHARED, Fleet
from tsad.parallel import TaskEnded, TaskOptions, run_tasks
from tsad.registry.fleet_log import FLEET_MODEL, log_fleet
from tsad.tracking.deferred import deferred_signals
from tsad.tracking.entity_runs import FLEET, EntityRecorder, check_fleet, unfinished_fleet
from tsad.tracking.runs import RunWriter, leading_run
from tsad.tracking.tags import Tag, provenance_tags
from tsad.training.checkpoints import Backup
from tsad.workflows.context import Context, open_context
from tsad.workflows.entity_task import EntityTask, TrainedEntity, train_entity, write_files
from tsad.workflows.events import EntityEnded, FleetStarted, Message, OnEvent, ignore
from tsad.workflows.inputs import (
    NO_OVERRIDES,
    ConfigSource,
    ExperimentValues,
    Rows,
    RowSource,
    experiment_name,
    read_values,
)
from tsad.workflows.locks import locked
from tsad.workflows.printing import lines, tracking_ui

TABLE = "entities.csv"
"""Name of the table of all entities with their metrics, an artifact of the run of a fleet."""

_ALL_SHOWN = 40
"""Largest number of entities that are printed one by one."""


@dataclass(frozen=True)
class FleetOptions:
    """Options of the training of a fleet.

    Attributes:
        tasks: How many entities are trained side by side, and on what.
        shared: Whether a detector of the rows of all entities is trained too, which scores entities that are not known.
        reports: Whether each detector is compared with the baselines, and everything is written that `tsad train` writes.
        resume: Run of a fleet that is resumed; `auto` takes the newest one of the same experiment and files that did not
            finish, and `none` begins anew.
        backup: Folder that the states of the trainings are copied to, with a folder for each entity; None for none.
        run_name: Name of the run of the fleet; by default the experiment's name and `-each-entity`.
    """

    tasks: TaskOptions = field(default_factory=TaskOptions)
    shared: bool = False
    reports: bool = False
    resume: str | Literal["auto", "none"] = "auto"
    backup: Backup | None = None
    run_name: str | None = None


DEFAULTS = FleetOptions()


@dataclass(frozen=True, eq=False)
class FleetResult:
    """Result of the training of a fleet. `str()` is what the command line prints.

    Attributes:
        run_id: MLflow run above those of the entities; it holds the mean metrics, the table and the logged model.
        table: Metrics of each entity that was trained, a row an entity, with the id of its run.
        failures: Cause of the failure of each other entity.
        fleet: All detectors.
        model_uri: URI of the logged model, which `mlflow.register_model` takes.
        tracking_uri: URI of the tracking store.
    """

    run_id: str
    table: pd.DataFrame
    failures: Mapping[str, str]
    fleet: Fleet
    model_uri: str
    tracking_uri: str

    @property
    def uri(self) -> str:
        """URI of the fleet, which `tsad.score` accepts as a model."""
        return f"runs:/{self.run_id}/{FLEET_MODEL}"

    @property
    def headlines(self) -> pd.DataFrame:
        """Headline metrics and seconds, a row an entity and the mean in the last row."""
        columns = [name for name in (*HEADLINES, "ratio/predicted", "cost/seconds") if name in self.table]
        table = self.table[columns].copy()
        table.loc["mean"] = table.mean()
        return table

    def __repr__(self) -> str:
        return f"FleetResult(run_id={self.run_id!r}, entities={len(self.table)}, failures={len(self.failures)})"

    def __str__(self) -> str:
        table = self.headlines
        if len(self.table) > _ALL_SHOWN:
            table = table.iloc[:-1].describe().loc[["mean", "min", "25%", "50%", "75%", "max"]]
        failures = "".join(f"\n{name}: {cause}" for name, cause in self.failures.items())
        total = len(self.table) + len(self.failures)
        where = lines(
            {
                "entities": f"{len(self.table)} of {total} trained"
                + (f"; the same command tries the others again:{failures}" if failures else ""),
                "run": f"runs:/{self.run_id}, with a run for each entity below it",
                "fleet": f"{self.uri}  (files: {self.fleet.folder})",
                "look": tracking_ui(self.tracking_uri),
            }
        )
        return f"{table.to_string(float_format='{:.3f}'.format)}\n\n{where}"

    def _repr_html_(self) -> str:
        return self.headlines.to_html(float_format="{:.3f}".format)


def train_each_entity(
    experiment: ConfigSource,
    overrides: Mapping[str, Any] = NO_OVERRIDES,
    *,
    data: RowSource | None = None,
    test: RowSource | None = None,
    label: str | None = None,
    time: str | None = None,
    options: FleetOptions = DEFAULTS,
    on_event: OnEvent = ignore,
) -> FleetResult:
    """Trains a detector for each entity of a data set, in a run of its own below one run that holds them as a fleet.

    Entities are the values of `data.entity`, the files of a pattern or list in `data.path`, or the machines of SMD. They are
    trained side by side on the cores of this machine, or on the Ray cluster of `RAY_ADDRESS`. An entity that fails does not stop
    the others. The same call resumes a fleet that was interrupted, and tries failed entities again.

    Args:
        experiment: Path of an experiment's YAML file, its values, or an `ExperimentConfig`; path or address of rows for the
            default detector.
        overrides: Values by path.
        data: Rows that replace the `data` section.
        test: Test rows.
        label: Name of the column of labels.
        time: Name of the column of times.
        options: How the entities are trained.
        on_event: Callback for progress.

    Raises:
        SpecError: if the experiment is not valid, or its data have no entities.
        DataError: if the data cannot be read.
        TrainingError: if no entity could be trained.
        TsadError: if the run to resume is none of a fleet, or of another one.

    Example:
        >>> import tsad
        >>> result = tsad.train_each_entity("panel.csv", {"data.entity": "machine"})  # doctest: +SKIP
        >>> print(tsad.score(result.uri, "tomorrow.csv"))  # doctest: +SKIP
        12 of 960 rows flagged (threshold 2.1 to 3.52, percentile 99); 15 rows have no score
    """
    context = open_context()
    section = Rows(data, test, label, time).section(context.settings)
    name, values = experiment_name(experiment), read_values(experiment, overrides, section)
    config = values.config()
    entities = entities_of(config.data, context.load_data, context.settings.data_dir)
    fingerprint = _fingerprint(values, config, context, options)
    resumed = _resumed(context, fingerprint, options.resume)
    tags = {Tag.KIND: FLEET, Tag.FAMILY: config.family, **provenance_tags(config.provenance)}
    with ExitStack() as stack:
        if resumed is not None:
            stack.enter_context(locked(_folder(context, resumed)))
            on_event(Message(f"resuming the fleet of run {resumed}"))
        run_name, own_tags = options.run_name or f"{name}-each-entity", {**tags, Tag.FLEET_FINGERPRINT: fingerprint}
        run = leading_run(context.store, run_name, own_tags, resumed)
        try:
            with run as parent:
                if resumed is None:
                    stack.enter_context(locked(_folder(context, parent.run_id)))
                parent.parameters(config.model_dump(mode="json"))
                recorder = EntityRecorder(
                    context.store, parent.run_id, name, config.model_dump(mode="json"), {**tags, Tag.KIND: "train"}
                )
                training = _FleetTraining(values, config, entities, options, context, parent, recorder, on_event)
                result = training.run()
                _check_complete(result)  # ends the run as one that is to be resumed
        except _IncompleteError:
            return result
    return result


class _IncompleteError(TrainingError):
    """Some entities of a fleet failed."""


def _check_complete(result: FleetResult) -> None:
    if result.failures:
        name, cause = next(iter(result.failures.items()))
        raise _IncompleteError(f"{len(result.failures)} entities failed, first {name or SHARED}: {cause}")


@dataclass(frozen=True, eq=False)
class _FleetTraining:
    """The training of a fleet inside its run."""

    values: ExperimentValues
    config: ExperimentConfig
    entities: Mapping[str, Callable[[], EntityRows]]
    options: FleetOptions
    context: Context
    parent: RunWriter
    recorder: EntityRecorder
    on_event: OnEvent

    def run(self) -> FleetResult:
        """Trains what is not trained yet, and logs the fleet."""
        rows, missing = self._earlier()
        failures: dict[str, str] = {}
        total = len(self._keys)
        self.on_event(FleetStarted(self.parent.run_id, total, total - len(missing)))
        for ended in run_tasks(train_entity, self._tasks(missing), self.options.tasks):
            if ended.result is None:
                failures[ended.key] = ended.error
            with deferred_signals():
                if ended.result is None:
                    self.recorder.write_failure(ended.key, ended.error)
                else:
                    rows[ended.key] = self._log(ended, ended.result)
            self.on_event(EntityEnded(ended.key or SHARED, ended.error))
        own = {name: rows[name] for name in self.entities if name in rows}
        if not own:
            first = next(iter(failures))
            raise TrainingError(f"none of {len(self.entities)} entities could be trained; {first}: {failures[first]}")
        return self._conclude(own, failures)

    @property
    def _keys(self) -> dict[str, str]:
        """Folder of each detector below that of the fleet; the key of the shared one is empty."""
        folders = {name: f"{ENTITIES}/{number:05d}" for number, name in enumerate(self.entities)}
        return folders | ({"": SHARED} if self.options.shared else {})

    @property
    def _fleet_folder(self) -> Path:
        return _folder(self.context, self.parent.run_id) / FLEET_MODEL

    def _earlier(self) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Returns the rows of the table of what was trained before the fleet was interrupted, and the keys of the others."""
        finished, keys = self.recorder.finished(), self._keys
        rows: dict[str, dict[str, Any]] = {}
        for name in finished.keys() & keys.keys():
            run, target = finished[name], self._fleet_folder / keys[name]
            if not (target / DESCRIPTION).is_file():
                self.recorder.fetch(run.info.run_id, DETECTOR, target.parent / f".{target.name}").rename(target)
            rows[name] = {"run_id": run.info.run_id, **run.data.metrics}
        return rows, [name for name in keys if name not in rows]

    def _tasks(self, names: list[str]) -> Iterator[tuple[str, Callable[[], EntityTask]]]:
        for name in names:
            yield name, partial(self._task, name)

    def _task(self, name: str) -> EntityTask:
        if name:
            rows = self.entities[name]()
        else:
            spec = self.config.data
            rows = EntityRows(spec, self.context.load_data(spec))
        options = self.options
        backup = options.backup and replace(options.backup, folder=options.backup.folder / self._keys[name])
        on_ray = options.tasks.on_ray
        device = ("cuda" if options.tasks.gpus else "cpu") if on_ray else self.context.device
        return EntityTask(self.values, rows, device, options.reports, backup)

    def _log(self, ended: TaskEnded[str, TrainedEntity], result: TrainedEntity) -> dict[str, Any]:
        """Writes the files of an entity and its run, and returns its row of the table."""
        detector = self._fleet_folder / self._keys[ended.key]
        results = _folder(self.context, self.parent.run_id) / "results" / self._keys[ended.key]
        write_files(result.detector, detector)
        write_files(result.files, results)
        folders = {DETECTOR: detector, "": results}
        run_id = self.recorder.write(ended.key, result.parameters, result.metrics, folders)
        return {"run_id": run_id, **result.metrics}

    def _conclude(self, rows: Mapping[str, Mapping[str, Any]], failures: Mapping[str, str]) -> FleetResult:
        """Logs table, mean metrics and the fleet as one model."""
        table = pd.DataFrame.from_dict(dict(rows), orient="index").rename_axis("entity")
        means = table.drop(columns="run_id").mean().dropna()
        self.parent.metrics({str(name): float(value) for name, value in means.items()})
        folder = _folder(self.context, self.parent.run_id)
        errors = pd.DataFrame({"error": failures}).rename_axis("entity")
        table.join(errors, how="outer").to_csv(folder / TABLE)
        self.parent.file(folder / TABLE)
        fleet = self._save([*rows], "" not in failures)
        tags = {**provenance_tags(self.config.provenance), Tag.KIND: FLEET, Tag.FAMILY: self.config.family}
        example = next(self.entities[name]().data.test for name in rows)
        uri = log_fleet(self.parent.run_id, fleet, example, next(iter(rows)), tags)
        return FleetResult(self.parent.run_id, table, failures, fleet, uri, self.context.settings.tracking_uri)

    def _save(self, names: list[str], shared_trained: bool) -> Fleet:  # noqa: FBT001
        keys, folder = self._keys, self._fleet_folder
        read_options = ReadOptions.load(folder / keys[names[0]])
        if (folder / keys[names[0]] / "read_options.json").is_file():
            read_options.save(folder)
        features = json.loads((folder / keys[names[0]] / DESCRIPTION).read_text(encoding="utf-8"))
        first = features if "features" in features else features["members"][0]
        shared = SHARED if self.options.shared and shared_trained else None
        return Fleet.save(folder, first["features"], {name: keys[name] for name in names}, shared, read_options.entity)


def _folder(context: Context, run_id: str) -> Path:
    return context.settings.output_dir / "train" / run_id


def _resumed(context: Context, fingerprint: str, resume: str) -> str | None:
    """Returns the id of the run that is resumed, None for a new one."""
    if resume == "none":
        return None
    if resume == "auto":
        return unfinished_fleet(context.store, fingerprint)
    check_fleet(context.store, resume, fingerprint)
    return resume


def _fingerprint(values: ExperimentValues, config: ExperimentConfig, context: Context, options: FleetOptions) -> str:
    """Returns a hash of the experiment, of the path, size and time of change of each of its files, and of the options."""
    spec = config.data
    sources = spec.sources(context.settings.data_dir) if isinstance(spec, FromFiles) else ()
    described = [dict(values.values), [_version(source) for source in sources], options.shared, options.reports]
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()


def _version(path: Path) -> list[Any]:
    if isinstance(path, Address) or not path.exists():
        return [str(path)]
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
