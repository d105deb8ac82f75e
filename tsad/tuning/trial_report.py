"""Report of a worker about its trial to the driver, and the plain mapping that Ray Tune carries between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tsad.config import ExperimentConfig

EPOCH = "epoch"
"""Key of the number of trained epochs, by which Ray's schedulers order reports."""

RUNG_VALUE = "rung_value"
"""Key of the value that Ray's schedulers compare at rungs.

A report at the end of a trial lacks it: a value at the end must not be compared with the values of early epochs.
"""


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating the detector that a trial has so far.

    Attributes:
        params: Active hyperparameters of the trial; those of a member of a population differ from the proposed ones.
        experiment: Experiment that `params` make.
        value: Value of the maximized objective.
        metrics: Metrics of the trial by name, costs included.
    """

    params: Mapping[str, Any]
    experiment: ExperimentConfig
    value: float
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class TrialReport:
    """Report of a worker after an epoch, and once more at the end of its trial.

    Attributes:
        epoch: Number of trained epochs.
        node: Id of the Ray node that the worker runs on.
        losses: Losses of the epoch by curve; empty at the end.
        evaluation: Result at a rung or at the end, None after other epochs.
        finished: Whether the trial has trained to its end.
        failure: Error that ended the trial, in one line; empty without one.
        trace: Trace of that error, for the log.
        stopped: Reason why the worker stopped the trial; empty if it did not.
    """

    epoch: int
    node: str
    losses: Mapping[str, float] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    finished: bool = False
    failure: str = ""
    trace: str = ""
    stopped: str = ""

    def to_result(self) -> dict[str, Any]:
        """Returns the result that Ray Tune passes on; `from_result` is its inverse."""
        result: dict[str, Any] = {
            EPOCH: self.epoch,
            "node": self.node,
            "losses": dict(self.losses),
            "finished": self.finished,
            "failure": self.failure,
            "trace": self.trace,
            "stopped": self.stopped,
        }
        if self.evaluation is not None:
            result["evaluation"] = dict(vars(self.evaluation))
            if not self.finished:
                result[RUNG_VALUE] = self.evaluation.value
        return result

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> "TrialReport":
        """Returns the report that `to_result` made a result of; entries that Ray Tune added are ignored."""
        evaluation = result.get("evaluation")
        return cls(
            epoch=result[EPOCH],
            node=result["node"],
            losses=result["losses"],
            evaluation=None if evaluation is None else Evaluation(**evaluation),
            finished=result["finished"],
            failure=result["failure"],
            trace=result["trace"],
            stopped=result["stopped"],
        )
