"""The training of a fleet inside its run: its options, its tasks, and its result."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from tsad.assessment.file_names import DETECTOR
from tsad.config import ExperimentConfig
from tsad.data.entities import EntityRows, standardized
from tsad.data.io.read_options import ReadOptions
from tsad.detector.detector import DESCRIPTION
from tsad.errors import TrainingError
from tsad.evaluation.registry import HEADLINES
from tsad.fleet import ENTITIES, SHARED, Fleet
from tsad.parallel import TaskEnded, TaskOptions, run_tasks
from tsad.registry.fleet_log import FLEET_MODEL, log_fleet
from tsad.tracking.deferred import deferred_signals
from tsad.tracking.entity_runs import FLEET, EntityRecorder
from tsad.tracking.runs import RunWriter
from tsad.tracking.tags import Tag, provenance_tags
from tsad.training.checkpoints import Backup
from tsad.workflows.context import Context
from tsad.workflows.entity_task import CONFIG, EntityTask, TrainedEntity, contents, train_entity, write_files
from tsad.workflows.events import EntityEnded, FleetStarted, OnEvent
from tsad.workflows.inputs import ExperimentValues, read_values
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
        one_model: Whether all entities share the models that one training on the rows of all fits; each has its own scaler,
            divisors, reference scores and threshold. For many alike machines, or few rows of each. Unknown entities are refused.
        reports: Whether each detector is compared with the baselines, and everything is written that `tsad train` writes.
        resume: Run of a fleet that is resumed; `auto` takes the newest one of the same experiment and files that did not
            finish, and `none` begins anew.
        backup: Folder that the states of the trainings are copied to, with a folder for each entity; None for none.
        run_name: Name of the run of the fleet; by default the experiment's name and `-each-entity`.
    """

    tasks: TaskOptions = field(default_factory=TaskOptions)
    shared: bool = False
    one_model: bool = False
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


@dataclass(frozen=True, eq=False)
class FleetTraining:
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
        if self.options.one_model and "" in missing:
            missing.remove("")
            self._train([""], rows, failures)
            if failures:
                raise TrainingError(f"the model of all entities could not be trained: {failures['']}")
        self._train(missing, rows, failures)
        own = {name: rows[name] for name in self.entities if name in rows}
        if not own:
            first = next(iter(failures))
            raise TrainingError(f"none of {len(self.entities)} entities could be trained; {first}: {failures[first]}")
        return self._conclude(own, failures)

    def _train(self, names: list[str], rows: dict[str, dict[str, Any]], failures: dict[str, str]) -> None:
        """Trains the detectors of some keys, and adds their rows of the table, or the causes of their failures."""
        for ended in run_tasks(train_entity, self._tasks(names), self.options.tasks):
            if ended.result is None:
                failures[ended.key] = ended.error
            with deferred_signals():
                if ended.result is None:
                    self.recorder.write_failure(ended.key, ended.error)
                else:
                    rows[ended.key] = self._log(ended, ended.result)
            self.on_event(EntityEnded(ended.key or SHARED, ended.error))

    @property
    def _keys(self) -> dict[str, str]:
        """Folder of each detector below that of the fleet; the key of the shared one is empty."""
        folders = {name: f"{ENTITIES}/{number:05d}" for number, name in enumerate(self.entities)}
        return folders | ({"": SHARED} if self.options.shared or self.options.one_model else {})

    @property
    def _fleet_folder(self) -> Path:
        return fleet_folder(self.context, self.parent.run_id) / FLEET_MODEL

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
            data = self.context.load_data(spec)
            rows = EntityRows(spec, standardized(data, self.config.split) if self.options.one_model else data)
        options = self.options
        backup = options.backup and replace(options.backup, folder=options.backup.folder / self._keys[name])
        on_ray = options.tasks.on_ray
        device = ("cuda" if options.tasks.gpus else "cpu") if on_ray else self.context.device
        if not (name and options.one_model):
            return EntityTask(self.values, rows, device, options.reports, backup)
        config, model = self._model
        return EntityTask(config, rows, device, options.reports, backup, model)

    @cached_property
    def _model(self) -> tuple[ExperimentValues, Mapping[str, bytes]]:
        """Experiment of the one model, with the numbers that suit the rows of all, and the files of its detector."""
        results = fleet_folder(self.context, self.parent.run_id) / "results" / SHARED
        if not (results / CONFIG).is_file():
            self.recorder.fetch(self.recorder.finished()[""].info.run_id, CONFIG, results)
        return read_values(results / CONFIG), contents(self._fleet_folder / SHARED)

    def _log(self, ended: TaskEnded[str, TrainedEntity], result: TrainedEntity) -> dict[str, Any]:
        """Writes the files of an entity and its run, and returns its row of the table."""
        detector = self._fleet_folder / self._keys[ended.key]
        results = fleet_folder(self.context, self.parent.run_id) / "results" / self._keys[ended.key]
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
        folder = fleet_folder(self.context, self.parent.run_id)
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


def fleet_folder(context: Context, run_id: str) -> Path:
    """Returns the folder of the files of a fleet's run."""
    return context.settings.output_dir / "train" / run_id
