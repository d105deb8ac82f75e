"""Training: one experiment as one MLflow run."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsad.assessment.artifacts import headline_metrics, metrics, write_assessment, write_results
from tsad.assessment.assessment import Assessment, assess
from tsad.assessment.file_names import DETECTOR
from tsad.assessment.summary import conclusion, show_comparison
from tsad.config import ExperimentConfig
from tsad.data import DataSpec
from tsad.data.dataset import DataSet
from tsad.data.sets.csv import CsvSpec
from tsad.detector.detector import Detector
from tsad.evaluation.registry import HEADLINES
from tsad.experiment import Outcome, Progress, run
from tsad.registry.log import log_detector
from tsad.tracking.runs import RunWriter, leading_run
from tsad.tracking.tags import Tag, provenance_tags
from tsad.training.checkpoints import Backup
from tsad.workflows.context import Context, open_context
from tsad.workflows.events import EpochEnded, Message, OnEvent, TrainingStarted, ignore
from tsad.workflows.inputs import FRAMES, NO_OVERRIDES, ConfigSource, Rows, RowSource, experiment_name, read_values
from tsad.workflows.printing import html_table, lines, tracking_ui


@dataclass(frozen=True, eq=False)
class TrainResult:
    """Result of a training. `str()` is what the command line prints.

    Attributes:
        run_id: MLflow run that holds the parameters, curves, metrics, files and the logged model.
        name: Kind of the model.
        metrics: Headline metrics of the reported test rows, and the costs `cost/seconds`, `cost/latency`, `cost/parameters`.
        assessment: Report with baselines, chance level and intervals.
        detector: Fitted detector.
        folder: Folder that holds all files of the run.
        tracking_uri: URI of the tracking store.
        source: Path or pattern of the rows, None if they come from no file of the user.
    """

    run_id: str
    name: str
    metrics: Mapping[str, float]
    assessment: Assessment
    detector: Detector
    folder: Path
    tracking_uri: str
    source: str | None = None

    @property
    def uri(self) -> str:
        """URI of the detector, which every workflow accepts as a model."""
        return f"runs:/{self.run_id}/{DETECTOR}"

    def __repr__(self) -> str:
        return f"TrainResult(run_id={self.run_id!r}, model={self.name!r}, folder={str(self.folder)!r})"

    def __str__(self) -> str:
        figures = "\n".join(f"{name:<28} {value:.4f}" for name, value in self.metrics.items())
        where = lines(
            {
                "threshold": self.detector.threshold.method,
                "files": self.folder,
                "run": f"runs:/{self.run_id}  (detector: {self.uri})",
            }
            | ({} if self.source is None else {"score": shlex.join(["tsad", "score", self.uri, self.source])})
            | {"look": tracking_ui(self.tracking_uri)}
        )
        summary = f"{show_comparison(self.name, self.assessment)}\n\n{conclusion(self.assessment)}"
        return f"{figures}\n\n{summary}\n\n{where}"

    def _repr_html_(self) -> str:
        headlines = {name: self.metrics[name] for name in HEADLINES if name in self.metrics}
        return html_table(f"{self.name}, run {self.run_id}", headlines, conclusion(self.assessment))


def train(
    experiment: ConfigSource,
    overrides: Mapping[str, Any] = NO_OVERRIDES,
    *,
    data: RowSource | None = None,
    test: RowSource | None = None,
    label: str | None = None,
    time: str | None = None,
    backup: Backup | None = None,
    run_name: str | None = None,
    on_event: OnEvent = ignore,
) -> TrainResult:
    """Trains one experiment as one MLflow run, and compares the detector with the baselines.

    Use it for one known config. To find a config, use `tsad.search`.

    Args:
        experiment: Path of an experiment's YAML file, its values, or an `ExperimentConfig`.
        overrides: Values by path, such as `{"training.epochs": 5}`.
        data: Rows that replace the `data` section: a DataFrame in time order, or the path or address of a file.
        test: Test rows; without them the last part of `data` is the test part.
        label: Name of the column of labels, 0 or 1.
        time: Name of the column of times; a DatetimeIndex needs none.
        backup: Folder that the state of the training is copied to; an interrupted training resumes from it.
        run_name: Name of the MLflow run; by default the experiment's name and the data's.
        on_event: Callback for progress.

    Raises:
        SpecError: if the experiment is not valid.
        DataError: if the data cannot be read, or are too short for the window.
        TrainingError: if a loss is not finite.

    Example:
        >>> import tsad
        >>> result = tsad.train("experiments/synthetic_linear.yaml", {"data.rows": 600})  # doctest: +SKIP
        >>> result.metrics["ranking/pr_auc"]  # doctest: +SKIP
        0.87
    """
    context = open_context()
    section = Rows(data, test, label, time).section(context.settings)
    name, values = experiment_name(experiment), read_values(experiment, overrides, section)
    rows = context.load_data(values.config().data)
    config = values.on(rows)
    with leading_run(context.store, run_name or f"{name}-{rows.name}", _tags(config)) as writer:
        return _trained(config, rows, context, writer, backup, on_event)


def _trained(
    config: ExperimentConfig,
    data: DataSet,
    context: Context,
    writer: RunWriter,
    backup: Backup | None,
    on_event: OnEvent,
) -> TrainResult:
    """Trains, assesses, and logs everything with the writer of a run."""
    folder = context.settings.output_dir / "train" / writer.run_id
    writer.parameters(config.model_dump(mode="json"))
    writer.inputs(data)
    title = f"{config.family} on {data.name}"
    on_event(TrainingStarted(writer.run_id, title, config.epochs))
    epochs: list[int] = []

    def on_epoch(progress: Progress) -> None:
        epochs.append(progress.epoch)
        writer.metrics(progress.losses, step=progress.epoch)
        on_event(EpochEnded(progress.epoch, progress.losses))

    outcome = run(
        config,
        data,
        on_epoch,
        device=context.device,
        checkpoints=folder / "checkpoints",
        resume=backup is not None,
        backup=backup,
    )
    if backup is not None:
        on_event(Message(_log_resumed(backup, outcome, epochs, writer)))
    write_results(outcome, config, folder, title)
    assessment = assess(outcome.detector, config, data, title)
    write_assessment(assessment, folder)
    figures = metrics(outcome)
    writer.metrics(figures | headline_metrics(assessment))
    writer.files(folder)
    tags = {Tag.BEATS_BASELINES: assessment.beats_baselines}
    writer.tags(tags)
    log_detector(writer.run_id, folder / DETECTOR, data.test, _tags(config) | tags)
    source = _source(config.data, context)
    tracking_uri, detector = context.settings.tracking_uri, outcome.detector
    return TrainResult(writer.run_id, config.family, figures, assessment, detector, folder, tracking_uri, source)


def _source(spec: DataSpec, context: Context) -> str | None:
    """Returns the path or pattern of the rows; None if they come from a DataFrame or from no file."""
    if not isinstance(spec, CsvSpec) or not isinstance(spec.path, Path):
        return None
    return None if spec.path.is_relative_to((context.settings.output_dir / FRAMES).resolve()) else str(spec.path)


def _log_resumed(backup: Backup, outcome: Outcome, epochs: Sequence[int], writer: RunWriter) -> str:
    """Logs the epochs that were trained before this run began, and returns what the backup was used for."""
    if not epochs:
        return f"{backup.folder}: nothing to back up, because this model is not trained in epochs"
    earlier = outcome.history[
        : epochs[0] - 1
    ]  # the first reported epoch is the last trained before, or the first of all
    for losses in earlier:
        writer.metrics(losses.curves(), step=losses.epoch)
    if not earlier:
        return f"{backup.folder}: holds the state of the training; the same command resumes from there"
    writer.tags({Tag.RESUMED_AFTER_EPOCH: str(epochs[0])})
    return f"{backup.folder}: resumed from there after epoch {epochs[0]}"


def _tags(config: ExperimentConfig) -> dict[str, str]:
    return {Tag.KIND: "train", Tag.FAMILY: config.family, **provenance_tags(config.provenance)}
