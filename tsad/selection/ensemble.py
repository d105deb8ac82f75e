"""An ensemble of a search's best trials, as one more that competes to be champion."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from pydantic import Field

from tsad.arrays import Floats
from tsad.assessment.artifacts import DETECTOR
from tsad.data.dataset import DataSet
from tsad.data.split import split
from tsad.detector.detector import Detector
from tsad.detector.ensemble import Ensemble
from tsad.errors import DataError
from tsad.experiment import ExperimentConfig, Outcome, conclude
from tsad.provenance import worst
from tsad.selection.trial import EndedTrials, Trial
from tsad.spec import Spec, write_yaml


class EnsembleSpec(Spec):
    """Which trials make the ensemble that competes with them: the best, and then the next best that are unlike those before.

    Attributes:
        size: Members at most.
        diversity: Rank correlation with each better member's validation scores that a member must stay below.
    """

    size: int = Field(3, ge=2)
    diversity: float = Field(0.95, gt=0, lt=1)


class WeightedExperiment(Spec):
    """One member of `ensemble.yaml`."""

    trial: str
    weight: float = Field(gt=0, le=1)
    experiment: ExperimentConfig


class EnsembleRecord(Spec):
    """What stands in `ensemble.yaml`, best first."""

    members: tuple[WeightedExperiment, ...] = Field(min_length=2)


@dataclass(frozen=True, eq=False)
class EnsembleMember:
    """A finished trial that may become a member of an ensemble, with its detector.

    Attributes:
        trial: The trial, with its candidate.
        detector: The detector that the trial saved.
    """

    trial: Trial
    detector: Detector

    @classmethod
    def read(cls, trial: Trial, folder: Path) -> "EnsembleMember":
        """Returns the trial whose files are in `folder`; raises `DetectorError` if its detector is damaged."""
        return cls(trial, Detector.load(folder / DETECTOR))

    @property
    def experiment(self) -> ExperimentConfig:
        """The experiment of the candidate."""
        return self.trial.candidate.experiment


def choose_members(ended: EndedTrials, data: DataSet, spec: EnsembleSpec) -> list[EnsembleMember]:
    """Returns the best finished trial, then each next best that is unlike all chosen before it, best first.

    Two are alike if Spearman's correlation of their scores on the validation rows that both score reaches
    `spec.diversity`, or does not exist since all scores of one are equal. So fewer than two may be found, which make no
    ensemble.

    Args:
        ended: Every trial with the folder of its files, or None if it has none.
        data: Of the search.
        spec: How many, how unlike.

    Raises:
        DataError: if trials were split differently, so that they do not share validation rows.
    """
    chosen: list[EnsembleMember] = []
    scores: list[Floats] = []
    for trial, folder in sorted(ended, key=lambda pair: pair[0].rank):
        if trial.state != "finished" or folder is None:
            continue
        found = EnsembleMember.read(trial, folder)
        _check_split([*chosen[:1], found])
        parts = split(data, found.experiment.split, found.detector.scorer.lookback + 1)
        values = found.detector.score(parts.validation).values  # noqa: PD011
        if all(_correlation(values, other) < spec.diversity for other in scores):
            chosen.append(found)
            scores.append(values)
        if len(chosen) == spec.size:
            break
    return chosen


def build_ensemble(chosen: Sequence[EnsembleMember], data: DataSet) -> Outcome:
    """Returns what the ensemble comes to, so that `maximize.value` judges it on the rows that its members were judged on.

    Its threshold is the best member's, fitted anew; its `seconds` are those of all members; whose labels had a hand in any
    of them had a hand in it.

    Args:
        chosen: Two or more of `choose_members`, best first.
        data: Of the search.

    Raises:
        DataError: if trials were split differently.
        DetectorError: if they are fewer than two, or one is an ensemble itself.
    """
    _check_split(chosen)
    best = chosen[0].experiment
    scorers = [each.detector.scorer for each in chosen]
    parts = split(data, best.split, max(scorer.lookback for scorer in scorers) + 1)
    ensemble = Ensemble.fit(scorers, parts.validation)
    outcome = conclude(best, parts, ensemble, (), sum(each.trial.seconds for each in chosen))
    detectors = [each.detector for each in chosen]
    detector = replace(
        outcome.detector,
        training_labels=worst(*(each.training_labels for each in detectors)),
        selection_labels=worst(*(each.selection_labels for each in detectors)),
    )
    return replace(outcome, detector=detector)


def write_ensemble(chosen: Sequence[EnsembleMember], path: Path) -> None:
    """Writes a YAML that lists the members' experiments and weights; each is one that `tsad train` takes."""
    members = tuple(
        WeightedExperiment(trial=each.trial.candidate.name, weight=1 / len(chosen), experiment=each.experiment)
        for each in chosen
    )
    write_yaml(
        path, EnsembleRecord(members=members), "the members of an ensemble; each experiment can be trained alone"
    )


def _check_split(chosen: Sequence[EnsembleMember]) -> None:
    for each in chosen[1:]:
        if each.experiment.split != chosen[0].experiment.split:
            raise DataError(
                f"members of an ensemble must be fitted and judged on the same rows, but {each.trial.candidate.name} has "
                f"split {each.experiment.split} and {chosen[0].trial.candidate.name} {chosen[0].experiment.split}; take the "
                f"hyperparameters out of split, or search without an ensemble"
            )


def _correlation(first: Floats, second: Floats) -> float:
    """Returns Spearman's correlation over the rows in which both have a score; NaN if there is none."""
    return float(pd.DataFrame({"first": first, "second": second}).corr(method="spearman").to_numpy()[0, 1])
