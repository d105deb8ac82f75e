"""An ensemble of the best trials of a search, which competes with them to be champion."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from pydantic import Field

from tsad.arrays import Floats
from tsad.assessment.file_names import DETECTOR
from tsad.config import ExperimentConfig, MemberSpec
from tsad.data.dataset import DataSet
from tsad.data.split import split
from tsad.detector.detector import Detector
from tsad.detector.ensemble import Ensemble, Member
from tsad.detector.scorer import Scorer
from tsad.errors import DataError
from tsad.experiment import Outcome, conclude
from tsad.provenance import worst
from tsad.selection.trial import EndedTrials, Trial
from tsad.spec import Spec


class EnsembleSpec(Spec):
    """Choice of the members of an ensemble: the best trial, then the next best whose scores differ enough from those before.

    Attributes:
        size: Largest number of members.
        diversity: Rank correlation of validation scores with each better member that a member must stay below.
    """

    size: int = Field(3, ge=2)
    diversity: float = Field(0.95, gt=0, lt=1)


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


def build_ensemble(members: Sequence[EnsembleMember], data: DataSet, weights: Sequence[float] | None = None) -> Outcome:
    """Returns the outcome of the ensemble, so that `maximize.value` evaluates it on the rows on which it evaluated members.

    The threshold of the first member is fitted to the scores of the ensemble; `seconds` is the sum over all members; labels
    that were used for any member count as used for the ensemble. A member that is an average takes part with its own
    members, which share its weight.

    Args:
        members: Two or more members, best first, as `choose_members` returns them.
        data: Data of the search.
        weights: Weight of each member; None weighs all the same.

    Raises:
        DataError: if trials were split differently.
        DetectorError: if they are fewer than two.
    """
    _check_split(members)
    best = members[0].experiment
    reach = max(member.detector.scorer.lookback for member in members) + 1
    parts = split(data, best.split, reach)
    scored_members: list[Member] = []
    for member, weight in zip(members, weights or [1.0] * len(members), strict=True):
        scorer = member.detector.scorer
        own = (
            (Member.fit(scorer, parts.validation, fallback=parts.fit),)
            if isinstance(scorer, Scorer)
            else scorer.members
        )
        total = sum(scored.weight for scored in own)
        scored_members += [replace(scored, weight=weight * scored.weight / total) for scored in own]
    outcome = conclude(
        best, parts, Ensemble(tuple(scored_members)), (), sum(member.trial.seconds for member in members)
    )
    detectors = [member.detector for member in members]
    detector = replace(
        outcome.detector,
        training_labels=worst(*(member.training_labels for member in detectors)),
        selection_labels=worst(*(member.selection_labels for member in detectors)),
    )
    return replace(outcome, detector=detector)


def ensemble_config(members: Sequence[EnsembleMember], weights: Sequence[float] | None = None) -> ExperimentConfig:
    """Returns the config that trains the ensemble of `build_ensemble` again; equal members are one with their weights added."""
    best = members[0].experiment
    total: dict[MemberSpec, float] = {}
    for member, weight in zip(members, weights or [1.0] * len(members), strict=True):
        scorers = member.experiment.scorers
        own = sum(scorer.weight for scorer in scorers)
        for scorer in scorers:
            key = scorer.model_copy(update={"weight": 1.0})
            total[key] = total.get(key, 0.0) + weight * scorer.weight / own
    sections = tuple(scorer.model_copy(update={"weight": round(weight, 9)}) for scorer, weight in total.items())
    return ExperimentConfig(
        seed=best.seed, members=sections, threshold=best.threshold, data=best.data, split=best.split
    )


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
