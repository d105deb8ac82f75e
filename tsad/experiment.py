"""The sentence, said once: data, windows, model, scores, flags, report."""

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
from tsad.detector import Detector, Scorer
from tsad.errors import DataError
from tsad.evaluation.report import Report, evaluate
from tsad.losses.contract import Material
from tsad.models import ModelSpec
from tsad.models.contract import ClosedFormModel, Model
from tsad.scoring import Scores, ScoringSpec, rows_before
from tsad.series import Series
from tsad.spec import Spec
from tsad.thresholds import ThresholdSpec
from tsad.thresholds.percentile import PercentileSpec
from tsad.thresholds.threshold import LabelsUsed, Threshold
from tsad.training.checkpoints import Checkpoints
from tsad.training.epoch_losses import EpochLosses
from tsad.training.loop import TrainingSpec, train
from tsad.training.objective import ObjectiveSpec, players
from tsad.training.seeds import seeded
from tsad.windows import Windows, WindowSpec, cut


class Experiment(Spec):
    """Everything that decides a result.

    Attributes:
        seed: Of initial weights, shuffles, masks and dropout.
        data: Which rows.
        split: Where they are cut in time.
        scaler: Fitted on the fit rows.
        window: How rows are cut into windows.
        model: What estimates windows.
        objective: What training makes small; a closed-form model has no use for it.
        training: How long and how fast; likewise.
        scoring: How misfits become scores.
        threshold: How scores become flags.
    """

    seed: int = Field(0, ge=0)
    data: DataSpec
    split: SplitSpec = SplitSpec()
    scaler: ScalerSpec = StandardScalerSpec()
    window: WindowSpec = WindowSpec()
    model: ModelSpec
    objective: ObjectiveSpec = ObjectiveSpec()
    training: TrainingSpec = TrainingSpec()
    scoring: ScoringSpec = ScoringSpec()
    threshold: ThresholdSpec = PercentileSpec()

    @property
    def supervised(self) -> bool:
        """Whether labels of the selection rows have a hand in training; such a run must be tagged."""
        return self.objective.reads_labels or self.split.reads_labels

    @property
    def labels_used(self) -> dict[str, LabelsUsed]:
        """Whose labels have a hand in what: in `training` and in the `threshold`."""
        return {
            "training": "selection" if self.supervised else "nothing",
            "threshold": "test" if self.threshold.reads_labels else "nothing",
        }


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run comes to.

    Attributes:
        detector: Ready to save and serve.
        history: Losses per epoch; empty for a closed-form model.
        parts: The rows it was made of.
        validation: Scores of the validation rows.
        test: Scores of all test rows.
        report: On the reported test rows.
        selection: On the test rows set apart for choosing, or None.
        seconds: Wall time of the fit, what a listener did with its progress included.
    """

    detector: Detector
    history: tuple[EpochLosses, ...]
    parts: Parts
    validation: Scores
    test: Scores
    report: Report
    selection: Report | None
    seconds: float


@dataclass(frozen=True, eq=False)
class Progress:
    """What a run tells after each epoch.

    Attributes:
        epoch: From 1 on.
        losses: By curve, such as `train/loss` and `validation/squared_error`.
        outcome: Makes the outcome as if training had ended here, with the best weights so far (scores all rows, so it
            takes its time).
    """

    epoch: int
    losses: Mapping[str, float]
    outcome: Callable[[], Outcome]


def ignore(progress: Progress) -> None:
    """Does nothing with the progress of a run."""


def run(
    experiment: Experiment,
    data: DataSet,
    on_epoch: Callable[[Progress], None] = ignore,
    *,
    device: str = "cpu",
    checkpoints: Path | None = None,
    resume: bool = False,
) -> Outcome:
    """Returns what the experiment comes to on its data; the same experiment and data give the same outcome on CPU.

    Args:
        experiment: What to do.
        data: What `experiment.data.load` gave; passed in so that many runs can share it.
        on_epoch: Called after each epoch of a model trained by gradient.
        device: "cpu" or "cuda".
        checkpoints: Folder for the weights of the best and the last epoch and the state of training, or None to keep none.
        resume: Go on from the state in `checkpoints`, if there is one, as if the training had never been interrupted;
            its last finished epoch is told to `on_epoch` once more. Only `training` may have changed since.

    Raises:
        DataError: if the parts are too short for the window, or labels are to be read and there are none.
        ValueError: if the sizes of model, window and data contradict each other.
        TrainingError: if a loss is not finite, or the state to resume from is of another experiment.
    """
    parts = split(data, experiment.split, rows_before(experiment.scoring, experiment.window.length) + 1)
    scaler = experiment.scaler.fit(parts.fit)
    windows = (_windows(parts.fit, scaler, experiment, device), _windows(parts.validation, scaler, experiment, device))
    history: Sequence[EpochLosses] = ()
    start = time.perf_counter()
    with seeded(experiment.seed) as generator:
        model = experiment.model.build(len(data.train.features), experiment.window.length).to(device)
        if isinstance(model, ClosedFormModel):
            model.fit(windows[0])
        else:

            def tell(losses: Sequence[EpochLosses], best: Mapping[str, torch.Tensor]) -> None:
                done = tuple(losses)

                def outcome() -> Outcome:
                    snapshot = deepcopy(model)  # training goes on in the original
                    snapshot.load_state_dict(best)
                    return _conclude(experiment, parts, scaler, snapshot, done, start)

                with torch.random.fork_rng():  # looking at a run must not change it
                    on_epoch(Progress(len(done), done[-1].curves(), outcome))

            material = Material(windows[0].rows, generator, _labelled(parts, scaler, experiment, device))
            kept = None if checkpoints is None else Checkpoints(checkpoints, resume, _fingerprint(experiment, parts))
            seated = players(model, experiment.objective, material)
            history = train(model, seated, experiment.training, windows, generator, tell, kept)
    return _conclude(experiment, parts, scaler, model, history, start)


def _labelled(
    parts: Parts, scaler: Scaler, experiment: Experiment, device: str
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Returns the scaled selection rows and their labels if the objective reads them."""
    if not experiment.objective.reads_labels:
        return None
    if parts.selection is None or parts.test.labels is None:
        raise DataError(
            "an objective that reads labels needs labelled test rows set apart for it, but there are none; set "
            "split.selection (0.3 for example) on data with labels"
        )
    chosen = parts.test.part(parts.selection.start, parts.selection.stop)
    rows = torch.from_numpy(scaler.apply(chosen).values).to(device)
    return rows, torch.tensor(chosen.labels, device=device)


def _fingerprint(experiment: Experiment, parts: Parts) -> str:
    """Returns a hash of the fit rows and of all of the experiment that training depends on, except `training`."""
    described = experiment.model_dump(mode="json", exclude={"training", "scoring", "threshold"})
    text = json.dumps(described, sort_keys=True)
    return hashlib.sha256(text.encode() + np.ascontiguousarray(parts.fit.values).tobytes()).hexdigest()


def _windows(series: Series, scaler: Scaler, experiment: Experiment, device: str) -> Windows:
    windows = cut(scaler.apply(series), experiment.window.length, experiment.window.stride)
    return Windows(windows.rows.to(device), windows.starts.to(device), windows.length)


def _conclude(
    experiment: Experiment, parts: Parts, scaler: Scaler, model: Model, history: Sequence[EpochLosses], start: float
) -> Outcome:
    seconds = time.perf_counter() - start
    model.eval()
    scorer = Scorer.fit(
        scaler,
        experiment.window.length,
        (experiment.model, model),
        experiment.scoring,
        parts.validation,
        experiment.labels_used["training"],
    )
    validation, test = scorer.score(parts.validation), scorer.score(parts.test)
    detector = Detector(scorer, _threshold(experiment.threshold, validation, test, parts))
    return Outcome(
        detector=detector,
        history=tuple(history),
        parts=parts,
        validation=validation,
        test=test,
        report=report(detector, test, parts.test, parts.reported),
        selection=None if parts.selection is None else report(detector, test, parts.test, parts.selection),
        seconds=seconds,
    )


def _threshold(spec: ThresholdSpec, validation: Scores, test: Scores, parts: Parts) -> Threshold:
    if not spec.reads_labels:
        return spec.fit(validation.values)
    labels = parts.test.labels
    return spec.fit(test.values[parts.reported], None if labels is None else labels[parts.reported])


def report(detector: Detector, scores: Scores, series: Series, rows: slice) -> Report:
    """Returns the report of some rows of a scored series."""
    labels = None if series.labels is None else np.asarray(series.labels[rows])
    return evaluate(scores.values[rows], detector.flag(scores)[rows], labels)
