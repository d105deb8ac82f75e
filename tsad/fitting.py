"""Fitting: from the spec of a detector and unlabeled rows to its scorer."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch

from tsad.config import DetectorSpec, MemberSpec
from tsad.data.entities import entity_scaler
from tsad.data.scale import Scaler
from tsad.detector.detector import Detector
from tsad.detector.ensemble import AnyScorer, average
from tsad.detector.scorer import Scorer
from tsad.detector.scoring import ScoringSpec
from tsad.errors import DataError
from tsad.losses.contract import TrainingContext
from tsad.models.contract import ClosedFormModel, Model
from tsad.series import Series
from tsad.training.checkpoints import Checkpoints
from tsad.training.epoch_losses import EpochLosses
from tsad.training.loop import train
from tsad.training.objective import trainables
from tsad.training.seeds import seeded
from tsad.windows import Windows, cut


@dataclass(frozen=True, eq=False)
class Fitted:
    """Everything that is fitted on the fit rows, before anything is scored; the model is in evaluation mode."""

    scaler: Scaler
    model: Model
    history: tuple[EpochLosses, ...]

    def scorer(self, spec: MemberSpec, validation: Series) -> Scorer:
        """Returns the scorer, its divisors fitted on validation rows."""
        return Scorer.fit(self.scaler, spec.window.length, (spec.model, self.model), spec.scoring, validation)


@dataclass(frozen=True, eq=False)
class Training:
    """Everything that the training of one scorer is given beside its spec.

    Attributes:
        fit: Rows that scaler and model are fitted on.
        validation: Later rows that stop training and that divisors and threshold are fitted on.
        device: "cpu" or "cuda".
        labeled: Rows whose labels the objective reads; None if it reads none.
        checkpoints: Checkpoints of the training; None keeps none.
    """

    fit: Series
    validation: Series
    device: str = "cpu"
    labeled: Series | None = None
    checkpoints: Checkpoints | None = None

    def of_member(self, index: int) -> "Training":
        """Returns the same for a member of an average, with checkpoints in a folder of its own."""
        return (
            self if self.checkpoints is None else replace(self, checkpoints=self.checkpoints.below(f"member-{index}"))
        )


Listen = Callable[[tuple[EpochLosses, ...], Callable[[], Fitted]], None]
"""Called after each epoch, with the history and a function that returns a snapshot."""


def ignore_history(history: tuple[EpochLosses, ...], fitted: Callable[[], Fitted]) -> None:
    """Ignores an epoch: no detector can be made of an average before its last member is trained."""


def fit_scorer(spec: DetectorSpec, training: Training, listen: Listen) -> tuple[AnyScorer, tuple[EpochLosses, ...]]:
    """Returns the fitted scorer of a detector, and the losses of its epochs; none of an average.

    Members that differ in their scoring alone share one fitted model.
    """
    if not spec.members:
        fitted = _fit_member(spec.scorers[0], spec.seed, training, listen)
        return fitted.scorer(spec.scorers[0], training.validation), fitted.history
    shared: dict[MemberSpec, Fitted] = {}
    scorers = []
    for index, member in enumerate(spec.members):
        key = member.model_copy(update={"scoring": ScoringSpec(), "weight": 1.0})
        own_training = training.of_member(index)
        if key not in shared:
            shared[key] = _fit_member(member, spec.seed, own_training, listen)
        scorers.append((shared[key].scorer(member, training.validation), member.weight))
    return average(scorers, training.validation, training.fit), ()


def adapt_scorer(scorer: AnyScorer, fit: Series, validation: Series) -> AnyScorer:
    """Returns the scorer of one entity with the models of a scorer that was fitted on `standardized` rows of many.

    Scalers are put behind that of the entity; divisors and reference scores are fitted anew, the models are not.

    Args:
        scorer: Scorer of the rows of all entities.
        fit: Fit rows of the entity, not scaled.
        validation: Validation rows of the entity.

    Raises:
        DataError: if no member gives rows of the entity different scores.
    """
    own, scalers = entity_scaler(fit), dict[int, Scaler]()

    def adapted(single: Scorer) -> Scorer:
        scaler = scalers.setdefault(id(single.scaler), single.scaler.after(own))  # one for members that share a model
        return Scorer.fit(scaler, single.window_length, (single.model_spec, single.model), single.scoring, validation)

    if isinstance(scorer, Scorer):
        return adapted(scorer)
    return average([(adapted(member.scorer), member.weight) for member in scorer.members], validation, fit)


def _fit_member(spec: MemberSpec, seed: int, training: Training, listen: Listen) -> Fitted:
    """Returns what is fitted on fit and validation rows; calls `listen` with the history and a snapshot after each epoch."""
    scaler = spec.scaler.fit(training.fit)
    device = training.device
    fit, validation = (_windows(part, scaler, spec, device) for part in (training.fit, training.validation))
    with seeded(seed) as generator:
        model = spec.model.build(len(training.fit.features), spec.window.length).to(device)
        if isinstance(model, ClosedFormModel):
            model.fit(fit)
            return Fitted(scaler, model.eval(), ())

        def tell(losses: Sequence[EpochLosses], best: Mapping[str, torch.Tensor]) -> None:
            history = tuple(losses)

            def snapshot() -> Fitted:
                copy = deepcopy(model)  # training goes on in the original
                copy.load_state_dict(best)
                return Fitted(scaler, copy.eval(), history)

            with torch.random.fork_rng():  # looking at a run must not change it
                listen(history, snapshot)

        labeled_rows = None if training.labeled is None else _scaled(training.labeled, scaler, device)
        trained_parts = trainables(model, spec.objective, TrainingContext(fit.rows, generator, labeled_rows))
        windows = (fit, validation)
        history = train(model, trained_parts, spec.training, windows, generator, tell, training.checkpoints)
    return Fitted(scaler, model.eval(), tuple(history))


def _scaled(series: Series, scaler: Scaler, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns scaled rows and their labels."""
    rows = torch.from_numpy(scaler.apply(series).values).to(device)
    return rows, torch.tensor(series.labels, device=device)


def _windows(series: Series, scaler: Scaler, spec: MemberSpec, device: str) -> Windows:
    windows = cut(scaler.apply(series), spec.window.length, spec.window.stride)
    return Windows(windows.rows.to(device), windows.starts.to(device), windows.length)


def fit_detector(spec: DetectorSpec, fit: Series, validation: Series) -> Detector:
    """Returns the detector of unlabeled rows, the same that `run` returns for these parts.

    Args:
        spec: Spec of the detector.
        fit: Rows that scaler and model are fitted on.
        validation: Later rows that stop training and that divisors and threshold are fitted on.

    Raises:
        DataError: if the validation rows are too few for one score, or for the threshold.
        ValueError: if the sizes of model, window and rows contradict each other, or if labels are to be read.
        TrainingError: if a loss is not finite.
    """
    scorer, _ = fit_scorer(spec, Training(fit, validation), ignore_history)
    scores = scorer.score(validation).values
    try:
        threshold = spec.threshold.fit(scores)
    except ValueError as error:
        raise DataError(f"validation rows: {error}") from None
    return Detector(scorer, threshold)
