"""Training of a fleet: a detector for each entity of a data set, in a run of its own below one run that holds all of them."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tsad.config import ExperimentConfig
from tsad.data.cache import FromFiles
from tsad.data.entities import entities_of
from tsad.data.io.containers.location import Address
from tsad.errors import SpecError, TrainingError
from tsad.fleet import SHARED
from tsad.tracking.entity_runs import FLEET, EntityRecorder, check_fleet, unfinished_fleet
from tsad.tracking.runs import leading_run
from tsad.tracking.tags import Tag, provenance_tags
from tsad.workflows.context import Context, open_context
from tsad.workflows.events import Message, OnEvent, ignore
from tsad.workflows.fleet_training import DEFAULTS, FleetOptions, FleetResult, FleetTraining, fleet_folder
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
        SpecError: if the experiment is not valid, its data have no entities, or options contradict each other.
        DataError: if the data cannot be read.
        TrainingError: if no entity could be trained.
        TsadError: if the run to resume is none of a fleet, or of another one.

    Example:
        >>> import tsad
        >>> result = tsad.train_each_entity("panel.csv", {"data.entity": "machine"})  # doctest: +SKIP
        >>> print(tsad.score(result.uri, "tomorrow.csv"))  # doctest: +SKIP
        12 of 960 rows flagged (threshold 2.1 to 3.52, percentile 99); 15 rows have no score
    """
    if options.shared and options.one_model:
        raise SpecError(
            "a fleet of one model scales the rows of each machine by themselves, which cannot be done for unknown ones; leave "
            "out --shared or --one-model"
        )
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
            stack.enter_context(locked(fleet_folder(context, resumed)))
            on_event(Message(f"resuming the fleet of run {resumed}"))
        run_name, own_tags = options.run_name or f"{name}-each-entity", {**tags, Tag.FLEET_FINGERPRINT: fingerprint}
        run = leading_run(context.store, run_name, own_tags, resumed)
        try:
            with run as parent:
                if resumed is None:
                    stack.enter_context(locked(fleet_folder(context, parent.run_id)))
                parent.parameters(config.model_dump(mode="json"))
                recorder = EntityRecorder(
                    context.store, parent.run_id, name, config.model_dump(mode="json"), {**tags, Tag.KIND: "train"}
                )
                training = FleetTraining(values, config, entities, options, context, parent, recorder, on_event)
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
    chosen = (options.shared, options.one_model, options.reports)
    described = [dict(values.values), [_version(source) for source in sources], *chosen]
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()


def _version(path: Path) -> list[Any]:
    if isinstance(path, Address) or not path.exists():
        return [str(path)]
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
