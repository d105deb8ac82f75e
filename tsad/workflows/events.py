"""Events that long workflows report while they run, for progress bars, logs and notebooks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tsad.selection.trial import Candidate, Trial


@dataclass(frozen=True)
class Message:
    """A sentence for people about the course of a workflow.

    Attributes:
        text: The sentence.
    """

    text: str


@dataclass(frozen=True)
class TrainingStarted:
    """A training starts.

    Attributes:
        run_id: MLflow run that records it.
        name: Kind of the model and name of the data.
        epochs: Largest number of epochs; 0 for a model that is fitted in one step.
    """

    run_id: str
    name: str
    epochs: int


@dataclass(frozen=True)
class EpochEnded:
    """An epoch of a training has ended.

    Attributes:
        epoch: Number of the epoch, from 1 on; when a training resumes, its last finished epoch is reported once more.
        losses: Losses by curve, such as `train/loss` and `validation/squared_error`.
    """

    epoch: int
    losses: Mapping[str, float]


@dataclass(frozen=True)
class FleetStarted:
    """The training of a fleet, or the scoring of many files, starts or resumes.

    Attributes:
        run_id: MLflow run that records it; empty for files.
        total: Number of entities or files.
        done: Number of those that were done before an interruption.
    """

    run_id: str
    total: int
    done: int


@dataclass(frozen=True)
class EntityEnded:
    """The training of an entity, or the scoring of a file, has ended.

    Attributes:
        name: Name of the entity or file.
        error: Cause of its failure; empty if there is none.
    """

    name: str
    error: str


@dataclass(frozen=True)
class RowsRead:
    """Some rows of a file were read.

    Attributes:
        name: Name of the file.
        done: Amount that was read so far.
        total: Amount in the whole file; None if it is not known.
        unit: Unit of both: `B` for bytes, or `row`.
    """

    name: str
    done: int
    total: int | None
    unit: str


@dataclass(frozen=True)
class SearchStarted:
    """A search starts or resumes.

    Attributes:
        run_id: MLflow run of the search, the parent of its trials.
        data: Name of the data.
        trials: Largest number of trials, those that ended before an interruption included.
        algorithm: Kind of the search algorithm.
        objective: Kind of the objective that is maximized.
        parallel: Number of trials that run side by side.
        cpus: Number of cores of a trial.
        ended: Trials that ended before an interruption, in the order of results.
    """

    run_id: str
    data: str
    trials: int
    algorithm: str
    objective: str
    parallel: int
    cpus: float
    ended: tuple[Trial, ...] = ()


@dataclass(frozen=True)
class TrialEpochEnded:
    """An epoch of a trial has ended.

    Attributes:
        candidate: Candidate that is trained.
        epoch: Number of the epoch, from 1 on.
        losses: Losses by curve.
    """

    candidate: Candidate
    epoch: int
    losses: Mapping[str, float]


@dataclass(frozen=True)
class TrialStarted:
    """A trial starts.

    Attributes:
        candidate: Candidate that is tried.
    """

    candidate: Candidate


@dataclass(frozen=True)
class TrialEnded:
    """A trial has ended.

    Attributes:
        trial: The trial with its state, value and metrics.
    """

    trial: Trial


TrainEvent = Message | TrainingStarted | EpochEnded
"""Everything that a training reports."""

SearchEvent = Message | SearchStarted | TrialStarted | TrialEpochEnded | TrialEnded
"""Everything that a search reports."""

FleetEvent = Message | FleetStarted | EntityEnded
"""Everything that the training of a fleet, and the scoring of many files, reports."""

Event = TrainEvent | SearchEvent | FleetEvent | RowsRead
"""Everything that a workflow reports."""

OnEvent = Callable[[Event], None]
"""Callback of a workflow; an exception that it raises ends the workflow."""


def ignore(event: Event) -> None:
    """Ignores an event: the default callback."""
