"""Evaluation of a detector on the rows of an experiment, or of saved scores against labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsad.assessment.artifacts import headline_metrics, write_assessment, write_scores
from tsad.assessment.assessment import Assessment, assess, assessment_from_scores
from tsad.assessment.summary import conclusion, show_comparison
from tsad.data.io.containers.kinds import is_table
from tsad.data.io.containers.location import location
from tsad.data.io.tables import read_table
from tsad.detector.detector import Detector
from tsad.errors import DataError, DetectorError
from tsad.evaluation.registry import HEADLINES
from tsad.registry.aliases import CHAMPION
from tsad.registry.register import MODEL, logged_model, resolve
from tsad.tracking.runs import RunWriter, leading_run
from tsad.tracking.tags import Tag, provenance_tags
from tsad.workflows.context import Context, open_context
from tsad.workflows.events import Message, OnEvent, ignore
from tsad.workflows.inputs import NO_OVERRIDES, ConfigSource, Rows, RowSource, read_values
from tsad.workflows.printing import html_table
from tsad.workflows.train import train


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """Result of an evaluation. `str()` is what the command line prints.

    Attributes:
        name: Kind of the detector; empty for saved scores.
        assessment: Report with baselines, chance level and intervals.
        output: Folder that holds the files; None if none were written.
        run_id: MLflow run that holds metrics and files; None if none was logged.
    """

    name: str
    assessment: Assessment
    output: Path | None
    run_id: str | None = None

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics of the reported rows by name."""
        return self.assessment.report.metrics

    def __repr__(self) -> str:
        return f"EvaluationResult(name={self.name!r}, output={None if self.output is None else str(self.output)!r})"

    def __str__(self) -> str:
        if self.name:
            text = f"{show_comparison(self.name, self.assessment)}\n\n{conclusion(self.assessment)}"
        else:
            figures = "".join(f"{name:<32} {value:.4f}\n" for name, value in self.metrics.items())
            text = (
                f"{figures}No threshold came with the scores: flags are those of the best F1, which labels of these rows "
                f"chose (oracle)."
            )
        where = "" if self.output is None else f"\n\nfiles:  {self.output}\nreport: {self.output / 'report.html'}"
        run = "" if self.run_id is None else f"\nrun:    runs:/{self.run_id}"
        return f"{text}{where}{run}"

    def _repr_html_(self) -> str:
        headlines = {name: self.metrics[name] for name in HEADLINES if name in self.metrics}
        return html_table(self.assessment.title, headlines, conclusion(self.assessment))


def evaluate(
    model: str | Path | Detector | None,
    experiment: ConfigSource,
    overrides: Mapping[str, Any] = NO_OVERRIDES,
    *,
    data: RowSource | None = None,
    test: RowSource | None = None,
    label: str | None = None,
    time: str | None = None,
    output: str | Path | None = None,
    run_name: str | None = None,
    log_run: bool = True,
    on_event: OnEvent = ignore,
) -> EvaluationResult:
    """Evaluates a detector on the reported test rows of an experiment's data, and compares it with the baselines.

    The evaluation is an MLflow run with metrics, report and files, linked to the test rows and to the logged model, whose
    page shows the metrics by data set.

    Args:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `runs:/RUN_ID/detector`, the folder of a saved detector, or a
            detector. None takes the champion of the registry or, where there is none, trains the experiment first.
        experiment: Experiment whose data and split are used: path of its YAML file, its values, or an `ExperimentConfig`.
        overrides: Values by path in the experiment.
        data: Rows that replace the `data` section of the experiment.
        test: Test rows.
        label: Name of the column of labels, 0 or 1.
        time: Name of the column of times.
        output: Folder for `report.html`, `metrics.json`, `scores.npy`, plots and the other files; None writes none.
        run_name: Name of the MLflow run; by default `evaluate-` and the name of the data.
        log_run: Whether the evaluation is logged as an MLflow run.
        on_event: Callback for progress.

    Raises:
        DetectorError: if there is no such model.
        SpecError: if the experiment is not valid.
        DataError: if the data cannot be read, or lack a feature of the detector.
    """
    context = open_context()
    section = Rows(data, test, label, time).section(context.settings)
    values = read_values(experiment, overrides, section)
    if model is None:
        model = _champion_or_trained(config_source=experiment, overrides=overrides, section=section, on_event=on_event)
    detector = model if isinstance(model, Detector) else Detector.load(context.detector_folder(model))
    rows = context.load_data(values.config().data)
    config = values.on(rows)
    kind = detector.scorer.kind
    name = kind if isinstance(model, Detector) else str(model)
    if not log_run:
        assessment = assess(detector, config, rows, f"{name} on {rows.name}")
        return EvaluationResult(kind, assessment, _written(assessment, output))
    source = "" if isinstance(model, Detector) else str(model)
    tags = {Tag.KIND: "evaluate", Tag.FAMILY: kind, Tag.DIGEST: detector.digest, **provenance_tags(detector.provenance)}
    tags |= {Tag.MODEL: source} if source else {}
    with leading_run(context.store, run_name or f"evaluate-{rows.name}", tags) as writer:
        writer.parameters({"data": config.data.model_dump(mode="json"), "split": config.split.model_dump(mode="json")})
        assessment = assess(detector, config, rows, f"{name} on {rows.name}")
        model_id = logged_model(context.store, source, detector.digest)
        writer.evaluation(headline_metrics(assessment), rows, model_id)
        _log_files(assessment, writer)
        writer.note(
            f"{name} on {rows.name}:\n\n```\n{show_comparison(kind, assessment)}\n```\n\n{conclusion(assessment)}"
        )
        return EvaluationResult(kind, assessment, _written(assessment, output), writer.run_id)


def evaluate_scores(
    scores: str | Path | NDArray[Any], labels: str | Path | NDArray[Any], *, output: str | Path | None = None
) -> EvaluationResult:
    """Evaluates scores against labels. No threshold comes with them, so flags are those of the best F1, an oracle.

    Args:
        scores: (T,) scores, NaN where a row has none: an array, a .npy file, or a table with the column `score`.
        labels: (T,) labels, 0 or 1: an array, a .npy file, or a table with the column `label`; tables are files of rows.
        output: Folder for the files; None writes none.

    Raises:
        DataError: if a file cannot be read, or the two are not (T,) arrays of one length that hold what they should.
    """
    values, truth = _array(scores, "score").astype(np.float64), _array(labels, "label")
    score_name, label_name = _name(scores, "scores"), _name(labels, "labels")
    if values.shape != truth.shape or values.ndim != 1:
        raise DataError(
            f"scores and labels must be (T,) of one length, but {score_name} is {values.shape}, {label_name} {truth.shape}"
        )
    if not np.isin(truth, (0, 1)).all():
        raise DataError(f"{label_name}: labels must be 0 or 1, but hold {np.unique(truth)[:5].tolist()}")
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax())
        raise DataError(f"{score_name}: scores must be finite or NaN, but row {row} is infinite")
    title = f"{Path(score_name).name} against {Path(label_name).name}"
    assessment = assessment_from_scores(values, truth.astype(bool), title)
    return EvaluationResult("", assessment, _written(assessment, output))


def _champion_or_trained(
    *, config_source: ConfigSource, overrides: Mapping[str, Any], section: Mapping[str, Any] | None, on_event: OnEvent
) -> str | Detector:
    """Returns the champion of the registry or, where there is none, the detector that the experiment trains."""
    champion = f"models:/{MODEL}@{CHAMPION}"
    context: Context = open_context()
    context.store  # noqa: B018 (opens the store that MLflow's own functions then use)
    try:
        resolve(champion)
    except DetectorError:
        on_event(Message(f"no model is given and there is no {champion}: training the experiment first"))
        changes = overrides if section is None else {"data": dict(section), **overrides}
        return train(config_source, changes, on_event=on_event).detector
    on_event(Message(f"no model is given: evaluating {champion}"))
    return champion


def _log_files(assessment: Assessment, writer: RunWriter) -> None:
    with TemporaryDirectory() as temporary:
        _written(assessment, temporary)
        writer.files(Path(temporary))


def _written(assessment: Assessment, output: str | Path | None) -> Path | None:
    if output is None:
        return None
    folder = Path(output)
    write_scores(assessment, folder)
    write_assessment(assessment, folder)
    return folder


def _name(source: str | Path | NDArray[Any], default: str) -> str:
    return default if isinstance(source, np.ndarray) else str(source)


def _array(source: str | Path | NDArray[Any], column: str) -> NDArray[Any]:
    if isinstance(source, np.ndarray):
        return source
    path = location(source)
    if path.suffix.lower() != ".npy" and is_table(path):
        return _column(path, column)
    try:
        values: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: must be a .npy array of numbers, but {error}") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise DataError(
            f"{path}: must be a .npy array of numbers, but holds {getattr(values, 'dtype', type(values).__name__)}"
        )
    return values


def _column(path: Path, name: str) -> NDArray[Any]:
    """Returns a column of a file of rows: the named one, or the only one there is."""
    table = read_table(path)
    columns = [str(column) for column in table.columns]
    if name not in columns and len(columns) != 1:
        raise DataError(f"{path}: must have the column {name!r}, but has {columns}; rename one")
    values = table[name if name in columns else table.columns[0]].to_numpy()
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path}: column {name!r} must hold numbers, but holds {values.dtype}")
    return values
