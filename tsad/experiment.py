"""An experiment: data, windows, model, scores, flags, report, as one plain function."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.data.split import Parts, split
from tsad.detector.detector import Detector
from tsad.detector.ensemble import AnyScorer
from tsad.detector.scoring import Scores
from tsad.errors import DataError
from tsad.evaluation.report import Report, evaluate
from tsad.fitting import Fitted, Training, adapt_scorer, fit_scorer, ignore_history
from tsad.series import Series
from tsad.thresholds import FittedThreshold, ThresholdSpec
from tsad.training.checkpoints import Backup, Checkpoints
from tsad.training.epoch_losses import EpochLosses


@dataclass(frozen=True, eq=False)
class Outcome:
    """Outcome of a run.

    Attributes:
        detector: Fitted detector, ready to save and serve.
        history: Losses per epoch; empty for a closed-form model and for an average.
        parts: Parts of the data.
        validation: Scores of the validation rows.
        test: Scores of all test rows.
        report: Report on the reported test rows.
        selection: Report on the test rows that may select among candidates; None if there are none.
        seconds: Wall time of the fit in seconds, including the time of the callback.
        latency: Wall time of scoring the test rows, in milliseconds per 1,000 rows.
    """

    detector: Detector
    history: tuple[EpochLosses, ...]
    parts: Parts
    validation: Scores
    test: Scores
    report: Report
    selection: Report | None
    seconds: float
    latency: float


@dataclass(frozen=True, eq=False)
class Progress:
    """Progress of a run after an epoch.

    Attributes:
        epoch: Number of the epoch, from 1 on.
        losses: Losses by curve, such as `train/loss` and `validation/squared_error`.
        outcome: Function that returns the outcome as if training had ended here, with the best weights so far; it scores all
            rows.
    """

    epoch: int
    losses: Mapping[str, float]
    outcome: Callable[[], Outcome]


def ignore(progress: Progress) -> None:
    """Ignores the progress of a run: the default callback."""


def run(
    experiment: ExperimentConfig,
    data: DataSet,
    on_epoch: Callable[[Progress], None] = ignore,
    *,
    device: str = "cpu",
    checkpoints: Path | None = None,
    resume: bool = False,
    backup: Backup | None = None,
) -> Outcome:
    """Returns the outcome of an experiment on its data; equal experiments and data give equal outcomes on a CPU.

    Args:
        experiment: Config of the experiment.
        data: Data set that `experiment.data.load` returned; many runs can share it.
        on_epoch: Called after each epoch of a model trained by gradient; not for the members of an average.
        device: "cpu" or "cuda".
        checkpoints: Folder for the weights of the best and the last epoch and the state of training, or None to keep none.
        resume: Resume from the state in `checkpoints` or else in `backup`, if there is one, as if the training had never been
            interrupted; its last finished epoch is reported to `on_epoch` once more. Only `training` may have changed since.
        backup: Folder that the state is copied to every few epochs; needs `checkpoints`.

    Raises:
        DataError: if the parts are too short for the window, or labels are to be read and there are none.
        ValueError: if the sizes of model, window and data contradict each other.
        TrainingError: if a loss is not finite, or the state to resume from is of another experiment.
    """
    parts = split(data, experiment.split, experiment.lookback + 1)
    start = time.perf_counter()

    def listen(history: tuple[EpochLosses, ...], fitted: Callable[[], Fitted]) -> None:
        def outcome() -> Outcome:
            seconds = time.perf_counter() - start
            return conclude(
                experiment, parts, fitted().scorer(experiment.scorers[0], parts.validation), history, seconds
            )

        on_epoch(Progress(len(history), history[-1].curves(), outcome))

    checkpoint_files = None
    if checkpoints is not None:
        checkpoint_files = Checkpoints(checkpoints, resume, _fingerprint(experiment, parts), backup)
    labeled = _labeled(parts) if experiment.reads_labels else None
    training = Training(parts.fit, parts.validation, device, labeled, checkpoint_files)
    scorer, history = fit_scorer(experiment, training, ignore_history if experiment.members else listen)
    return conclude(experiment, parts, scorer, history, time.perf_counter() - start)


def adapt(detector: Detector, experiment: ExperimentConfig, data: DataSet) -> Outcome:
    """Returns the outcome on one entity of a detector whose models were fitted on `standardized` rows of many.

    Scaler, divisors, reference scores and threshold are those of the entity; models and their weights are shared.

    Args:
        detector: Detector of the rows of all entities.
        experiment: Config of that detector.
        data: Rows of the entity, not scaled.

    Raises:
        DataError: if the parts are too short for the window, or no member gives rows different scores.
    """
    parts, start = split(data, experiment.split, experiment.lookback + 1), time.perf_counter()
    scorer = adapt_scorer(detector.scorer, parts.fit, parts.validation)
    return conclude(experiment, parts, scorer, (), time.perf_counter() - start)


def _labeled(parts: Parts) -> Series:
    """Returns the selection rows, for an objective that reads their labels."""
    if parts.selection is None or parts.test.labels is None:
        raise DataError(
            "an objective that reads labels needs labeled test rows set apart for it, but there are none; set "
            "split.selection (0.3 for example) on data with labels"
        )
    return parts.test.part(parts.selection.start, parts.selection.stop)


def _fingerprint(experiment: ExperimentConfig, parts: Parts) -> str:
    """Returns a hash of the fit rows and of all of the experiment that training depends on, except `training`."""
    described = experiment.model_dump(mode="json", exclude={"training", "scoring", "threshold"})
    text = json.dumps(described, sort_keys=True)
    return hashlib.sha256(text.encode() + np.ascontiguousarray(parts.fit.values).tobytes()).hexdigest()


def conclude(
    experiment: ExperimentConfig, parts: Parts, scorer: AnyScorer, history: tuple[EpochLosses, ...], seconds: float
) -> Outcome:
    """Returns the outcome of a fitted scorer, with the threshold and the provenance of the experiment."""
    validation, begin = scorer.score(parts.validation), time.perf_counter()
    test, end = scorer.score(parts.test, parts.past), time.perf_counter()
    threshold = _threshold(experiment.threshold, validation, test, parts)
    detector = Detector(scorer, threshold, experiment.provenance.training)
    return Outcome(
        detector=detector,
        history=history,
        parts=parts,
        validation=validation,
        test=test,
        report=report(detector, test, parts, parts.reported),
        selection=None if parts.selection is None else report(detector, test, parts, parts.selection),
        seconds=seconds,
        latency=1e6 * (end - begin) / len(parts.test),
    )


def _threshold(spec: ThresholdSpec, validation: Scores, test: Scores, parts: Parts) -> FittedThreshold:
    if not spec.reads_labels:
        return spec.fit(validation.values)
    labels = parts.test.labels
    return spec.fit(test.values[parts.reported], None if labels is None else labels[parts.reported])


def report(detector: Detector, scores: Scores, parts: Parts, rows: slice) -> Report:
    """Returns the report of some of the scored test rows."""
    labels = None if parts.test.labels is None else np.asarray(parts.test.labels[rows])
    return evaluate(
        scores.values[rows],
        detector.flag(scores)[rows],
        labels,
        threshold_from=detector.provenance.worst,
        rows_per_day=None if parts.step_seconds is None else 86_400 / parts.step_seconds,
    )
