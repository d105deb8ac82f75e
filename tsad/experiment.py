"""An experiment: data, windows, model, scores, flags, report, as one plain function."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from tsad.data import DataSpec
from tsad.data.dataset import DataSet
from tsad.data.scale import Scaler, ScalerSpec, StandardScalerSpec
from tsad.data.split import Parts, SplitSpec, split
from tsad.detector.detector import Detector
from tsad.detector.ensemble import AnyScorer
from tsad.detector.scorer import Scorer
from tsad.detector.scoring import Scores, ScoringSpec, lookback
from tsad.errors import DataError
from tsad.evaluation.report import Report, evaluate
from tsad.losses.contract import TrainingContext
from tsad.models import ModelSpec
from tsad.models.contract import ClosedFormModel, Model
from tsad.provenance import Provenance
from tsad.series import Series
from tsad.spec import Spec
from tsad.thresholds import FittedThreshold, ThresholdSpec
from tsad.thresholds.percentile import PercentileSpec
from tsad.training.checkpoints import Backup, Checkpoints
from tsad.training.epoch_losses import EpochLosses
from tsad.training.loop import TrainingSpec, train
from tsad.training.objective import ObjectiveSpec, trainables
from tsad.training.seeds import seeded
from tsad.windows import Windows, WindowSpec, cut


class DetectorSpec(Spec):
    """Everything that decides what a detector learns from given rows.

    Attributes:
        seed: Seed of initial weights, shuffles, masks and dropout.
        scaler: Scaler that is fitted on the fit rows.
        window: How rows are cut into windows.
        model: Model that predicts windows.
        objective: Loss that training minimizes; closed-form models do not use it.
        training: How long and how fast the model is trained; closed-form models do not use it.
        scoring: Rule by which errors become scores.
        threshold: Rule by which scores become flags.
    """

    seed: int = Field(0, ge=0)
    scaler: ScalerSpec = StandardScalerSpec()
    window: WindowSpec = WindowSpec()
    model: ModelSpec
    objective: ObjectiveSpec = ObjectiveSpec()
    training: TrainingSpec = TrainingSpec()
    scoring: ScoringSpec = ScoringSpec()
    threshold: ThresholdSpec = PercentileSpec()


class ExperimentConfig(DetectorSpec):
    """Config of an experiment: a detector, the rows that it is fitted on, and the rows that it is evaluated on.

    A YAML file in `experiments/` holds one. Equal configs on equal data give equal results on a CPU.

    Attributes:
        data: Data set of the experiment.
        split: Times at which the data are cut into parts.
    """

    data: DataSpec
    split: SplitSpec = SplitSpec()

    @property
    def provenance(self) -> Provenance:
        """Rows whose labels the training and the threshold will use."""
        return Provenance(
            training="development" if self.objective.reads_labels or self.split.reads_labels else "nothing",
            threshold="test" if self.threshold.reads_labels else "nothing",
        )


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Everything that is fitted on the fit rows, before anything is scored; the model is in evaluation mode."""

    scaler: Scaler
    model: Model
    history: tuple[EpochLosses, ...]

    def scorer(self, spec: DetectorSpec, validation: Series) -> Scorer:
        return Scorer.fit(self.scaler, spec.window.length, (spec.model, self.model), spec.scoring, validation)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Outcome of a run.

    Attributes:
        detector: Fitted detector, ready to save and serve.
        history: Losses per epoch; empty for a closed-form model.
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
        on_epoch: Called after each epoch of a model trained by gradient.
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
    parts = split(data, experiment.split, lookback(experiment.scoring, experiment.window.length) + 1)
    start = time.perf_counter()

    def listen(history: tuple[EpochLosses, ...], fitted: Callable[[], _Fitted]) -> None:
        on_epoch(Progress(len(history), history[-1].curves(), lambda: _conclude(experiment, parts, fitted(), start)))

    checkpoint_files = (
        None if checkpoints is None else Checkpoints(checkpoints, resume, _fingerprint(experiment, parts), backup)
    )
    labeled = _labeled(parts) if experiment.objective.reads_labels else None
    rows = (parts.fit, parts.validation)
    fitted = _fit(experiment, rows, listen, device=device, labeled=labeled, checkpoints=checkpoint_files)
    return _conclude(experiment, parts, fitted, start)


def fit_detector(spec: DetectorSpec, fit: Series, validation: Series) -> Detector:
    """Returns the detector of unlabeled rows, the same that `run` returns for these parts.

    Args:
        spec: Spec of the detector.
        fit: Rows that scaler and model are fitted on.
        validation: Later rows that stop training and that divisors and threshold are fitted on.

    Raises:
        DataError: if the validation rows are too few for one score.
        ValueError: if the sizes of model, window and rows contradict each other, or if labels are to be read.
        TrainingError: if a loss is not finite.
    """
    fitted = _fit(spec, (fit, validation), lambda history, fitted: None, device="cpu", labeled=None, checkpoints=None)
    scorer = fitted.scorer(spec, validation)
    return Detector(scorer, spec.threshold.fit(scorer.score(validation).values))


def _fit(
    spec: DetectorSpec,
    rows: tuple[Series, Series],
    listen: Callable[[tuple[EpochLosses, ...], Callable[[], _Fitted]], None],
    *,
    device: str,
    labeled: Series | None,
    checkpoints: Checkpoints | None,
) -> _Fitted:
    """Returns what is fitted on fit and validation rows; calls `listen` with the history and a snapshot after each epoch."""
    scaler = spec.scaler.fit(rows[0])
    fit, validation = (_windows(part, scaler, spec, device) for part in rows)
    with seeded(spec.seed) as generator:
        model = spec.model.build(len(rows[0].features), spec.window.length).to(device)
        if isinstance(model, ClosedFormModel):
            model.fit(fit)
            return _Fitted(scaler, model.eval(), ())

        def tell(losses: Sequence[EpochLosses], best: Mapping[str, torch.Tensor]) -> None:
            history = tuple(losses)

            def snapshot() -> _Fitted:
                copy = deepcopy(model)  # training goes on in the original
                copy.load_state_dict(best)
                return _Fitted(scaler, copy.eval(), history)

            with torch.random.fork_rng():  # looking at a run must not change it
                listen(history, snapshot)

        labeled_rows = None if labeled is None else _scaled(labeled, scaler, device)
        trained_parts = trainables(model, spec.objective, TrainingContext(fit.rows, generator, labeled_rows))
        history = train(model, trained_parts, spec.training, (fit, validation), generator, tell, checkpoints)
    return _Fitted(scaler, model.eval(), tuple(history))


def _labeled(parts: Parts) -> Series:
    """Returns the selection rows, for an objective that reads their labels."""
    if parts.selection is None or parts.test.labels is None:
        raise DataError(
            "an objective that reads labels needs labeled test rows set apart for it, but there are none; set "
            "split.selection (0.3 for example) on data with labels"
        )
    return parts.test.part(parts.selection.start, parts.selection.stop)


def _scaled(series: Series, scaler: Scaler, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns scaled rows and their labels."""
    rows = torch.from_numpy(scaler.apply(series).values).to(device)
    return rows, torch.tensor(series.labels, device=device)


def _fingerprint(experiment: ExperimentConfig, parts: Parts) -> str:
    """Returns a hash of the fit rows and of all of the experiment that training depends on, except `training`."""
    described = experiment.model_dump(mode="json", exclude={"training", "scoring", "threshold"})
    text = json.dumps(described, sort_keys=True)
    return hashlib.sha256(text.encode() + np.ascontiguousarray(parts.fit.values).tobytes()).hexdigest()


def _windows(series: Series, scaler: Scaler, spec: DetectorSpec, device: str) -> Windows:
    windows = cut(scaler.apply(series), spec.window.length, spec.window.stride)
    return Windows(windows.rows.to(device), windows.starts.to(device), windows.length)


def _conclude(experiment: ExperimentConfig, parts: Parts, fitted: _Fitted, start: float) -> Outcome:
    seconds = time.perf_counter() - start
    return conclude(experiment, parts, fitted.scorer(experiment, parts.validation), fitted.history, seconds)


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
