"""An ensemble of the best trials of a search, which competes with them to be champion."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from pydantic import Field

from tsad.arrays import Floats
from tsad.assessment.artifacts import DETECTOR
from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.data.split import split
from tsad.detector.detector import Detector
from tsad.detector.ensemble import Ensemble
from tsad.errors import DataError
from tsad.experiment import Outcome, conclude
from tsad.provenance import worst
from tsad.selection.trial import EndedTrials, Trial
from tsad.spec import Spec, write_yaml


class EnsembleSpec(Spec):
    """Choice of the members of an ensemble: the best trial, then the next best whose scores differ enough from those before.

    Attributes:
        size: Largest number of members.
        diversity: Rank correlation of validation scores with each better member that a member must stay below.
    """

    size: int = Field(3, ge=2)
    diversity: float = Field(0.95, gt=0, lt=1)


class WeightedExperiment(Spec):
    """A member of an ensemble, as its YAML file lists it.

    Attributes:
        trial: Name of the trial.
        weight: Weight of the member, above 0 and at most 1.
        experiment: Experiment that trains the member again.
    """

    trial: str
    weight: float = Field(gt=0, le=1)
    experiment: ExperimentConfig


class EnsembleRecord(Spec):
    """The content of the YAML file of an ensemble.

    Attributes:
        members: Members, best first; two or more.
    """

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
    """Returns the best finished trial, then each next best one that differs from all members before it, best first.

    Two trials differ if Spearman's correlation of their scores, on the validation rows that both score, is below
    `spec.diversity`; they do not if it is undefined because all scores of one are equal. Fewer than two members, which form
    no ensemble, are possible.

    Args:
        ended: All trials with the folders of their files.
        data: Data of the search.
        spec: Number of members and how much they must differ.

    Raises:
        DataError: if trials were split differently, so that they do not share validation rows.
        DetectorError: if the saved detector of a trial is damaged.
    """
    members: list[EnsembleMember] = []
    scores: list[Floats] = []
    for trial, folder in sorted(ended, key=lambda pair: pair[0].rank):
        if trial.state != "finished" or folder is None:
            continue
        member = EnsembleMember.read(trial, folder)
        _check_split([*members[:1], member])
        parts = split(data, member.experiment.split, member.detector.scorer.lookback + 1)
        values = member.detector.score(parts.validation).values  # noqa: PD011
        if all(_correlation(values, other) < spec.diversity for other in scores):
            members.append(member)
            scores.append(values)
        if len(members) == spec.size:
            break
    return members


def build_ensemble(members: Sequence[EnsembleMember], data: DataSet) -> Outcome:
    """Returns the outcome of the ensemble, so that `maximize.value` evaluates it on the rows on which it evaluated members.

    The threshold of the best member is fitted to the scores of the ensemble; `seconds` is the sum over all members; labels
    that were used for any member count as used for the ensemble.

    Args:
        members: Two or more members, best first, as `choose_members` returns them.
        data: Data of the search.

    Raises:
        DataError: if trials were split differently.
        DetectorError: if they are fewer than two, or one is an ensemble itself.
    """
    _check_split(members)
    best = members[0].experiment
    scorers = [member.detector.scorer for member in members]
    parts = split(data, best.split, max(scorer.lookback for scorer in scorers) + 1)
    ensemble = Ensemble.fit(scorers, parts.validation)
    outcome = conclude(best, parts, ensemble, (), sum(member.trial.seconds for member in members))
    detectors = [member.detector for member in members]
    detector = replace(
        outcome.detector,
        training_labels=worst(*(member.training_labels for member in detectors)),
        selection_labels=worst(*(member.selection_labels for member in detectors)),
    )
    return replace(outcome, detector=detector)


def write_ensemble(members: Sequence[EnsembleMember], path: Path) -> None:
    """Writes a YAML file that lists the experiments and weights of the members; `tsad train` takes each experiment."""
    experiments = tuple(
        WeightedExperiment(trial=member.trial.candidate.name, weight=1 / len(members), experiment=member.experiment)
        for member in members
    )
    heading = "the members of an ensemble; each experiment can be trained alone"
    write_yaml(path, EnsembleRecord(members=experiments), heading)


def _check_split(members: Sequence[EnsembleMember]) -> None:
    for member in members[1:]:
        if member.experiment.split != members[0].experiment.split:
            raise DataError(
                f"members of an ensemble must be fitted and compared on the same rows, but {member.trial.candidate.name} has "
                f"split {member.experiment.split} and {members[0].trial.candidate.name} {members[0].experiment.split}; take the "
                f"hyperparameters out of split, or search without an ensemble"
            )


def _correlation(first: Floats, second: Floats) -> float:
    """Returns Spearman's correlation over the rows that both score; NaN if it is undefined."""
    return float(pd.DataFrame({"first": first, "second": second}).corr(method="spearman").to_numpy()[0, 1])
