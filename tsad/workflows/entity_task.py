"""The training of one entity of a fleet, as a task that a worker on any machine runs and that returns all its files."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tsad.assessment.artifacts import (
    headline_metrics,
    metrics,
    write_assessment,
    write_detector,
    write_results,
)
from tsad.assessment.assessment import assess
from tsad.assessment.file_names import DETECTOR
from tsad.config import ExperimentConfig
from tsad.data.entities import EntityRows
from tsad.detector.detector import Detector
from tsad.experiment import Outcome, adapt, run
from tsad.spec import write_yaml
from tsad.training.checkpoints import Backup
from tsad.workflows.inputs import ExperimentValues

CONFIG = "experiment.yaml"
"""Name of the file that holds the experiment of an entity."""


@dataclass(frozen=True, eq=False)
class EntityTask:
    """Everything that the training of one entity needs.

    Attributes:
        values: Values of the experiment, in which `auto` stands for numbers that follow from the rows of the entity.
        rows: Rows of the entity, and the spec that describes them.
        device: Device that the model is trained on.
        reports: Whether the detector is compared with the baselines, and everything is written that `tsad train` writes.
        backup: Folder that the state of the training is copied to; None for none.
        model: Content of each file of a detector of `standardized` rows of all entities, whose models this entity takes; empty
            for models of its own.
    """

    values: ExperimentValues
    rows: EntityRows
    device: str
    reports: bool
    backup: Backup | None
    model: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TrainedEntity:
    """Result of the training of one entity.

    Attributes:
        metrics: Metrics by name.
        parameters: Parameters of the training, nested.
        detector: Content of each file of the saved detector, by its path.
        files: Content of every other file, by its path.
    """

    metrics: Mapping[str, float]
    parameters: Mapping[str, object]
    detector: Mapping[str, bytes]
    files: Mapping[str, bytes]


def train_entity(task: EntityTask) -> TrainedEntity:
    """Returns the detector of one entity with its metrics and files; nothing is left on the disk of the worker."""
    data = task.rows.data
    config = task.values.on(data).model_copy(update={"data": task.rows.spec})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        outcome = _outcome(task, config, folder)
        figures, results, title = metrics(outcome), folder / "results", f"{config.family} on {data.name}"
        if task.reports:
            write_results(outcome, config, results, title)
            assessment = assess(outcome.detector, config, data, title)
            write_assessment(assessment, results)
            figures |= headline_metrics(assessment)
        else:
            write_detector(outcome, results / DETECTOR)
            write_yaml(results / CONFIG, config, "The experiment of one entity of a fleet.")
        files = contents(results)
    beginning = f"{DETECTOR}/"
    return TrainedEntity(
        metrics=figures,
        parameters=config.model_dump(mode="json"),
        detector={path.removeprefix(beginning): files[path] for path in files if path.startswith(beginning)},
        files={path: files[path] for path in files if not path.startswith(beginning)},
    )


def _outcome(task: EntityTask, config: ExperimentConfig, folder: Path) -> Outcome:
    if task.model:
        write_files(task.model, folder / "model")
        return adapt(Detector.load(folder / "model"), config, task.rows.data)
    return run(
        config,
        task.rows.data,
        device=task.device,
        checkpoints=None if task.backup is None else folder / "checkpoints",
        resume=task.backup is not None,
        backup=task.backup,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Returns the content of each file below a folder, by its path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Writes the files of a task below a folder, which is made even if there are none."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
