"""Ensembles: the weighted mean surprisal of several scorers, each relative to its own validation scores."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import load_file

from tsad.data.scale import Scaler
from tsad.detector.scorer import Scorer, ScorerDescription, check_rows, score_after
from tsad.detector.scoring import Scores
from tsad.errors import DataError, DetectorError
from tsad.series import Series
from tsad.spec import Spec
from tsad.training.checkpoints import save_weights

_logger = logging.getLogger(__name__)

REFERENCE = "reference.safetensors"

REFERENCE_SIZE = 2_000
"""Largest number of validation scores of a member; of more, as many evenly spaced quantiles stay, both extremes included."""

TAIL, LEAST = 0.02, 10
"""Share of the validation scores that the tail is fitted to, and their least number."""


class MemberDescription(ScorerDescription):
    """Description of a member: that of its scorer, with its weight."""

    weight: float = Field(1.0, gt=0)


class EnsembleDescription(Spec):
    """Description of an ensemble: everything except the tensors of its members, which are scorers and no ensembles."""

    members: tuple[MemberDescription, ...] = Field(min_length=2)


@dataclass(frozen=True, eq=False)
class Member:
    """A scorer of an ensemble with the validation scores that its surprisal is relative to.

    Attributes:
        scorer: Scorer that gives rows scores.
        reference: (n,) ascending validation scores, not all equal, at most `REFERENCE_SIZE`.
        weight: Weight relative to those of the other members.
    """

    scorer: Scorer
    reference: NDArray[np.float64]
    weight: float = 1.0

    @classmethod
    def fit(cls, scorer: Scorer, validation: Series, weight: float = 1.0, fallback: Series | None = None) -> "Member":
        """Returns the member.

        Args:
            scorer: Fitted scorer.
            validation: Rows whose scores the surprisal is relative to.
            weight: Weight relative to those of the other members.
            fallback: Rows that take their place if all of them have the same score, as on a machine that stands still.

        Raises:
            DataError: if none of these rows have two different scores.
        """
        values = _sorted(scorer.score(validation))
        if fallback is not None and (not len(values) or values[0] == values[-1]):
            values = _sorted(scorer.score(fallback))
        if not len(values) or values[0] == values[-1]:
            raise DataError(
                f"a member of an ensemble must give validation rows different scores, but {scorer.kind} gives all "
                f"{len(values)} of them the same; leave it out"
            )
        if len(values) > REFERENCE_SIZE:
            values = np.maximum.accumulate(np.quantile(values, np.linspace(0, 1, REFERENCE_SIZE)))
        return cls(scorer, values, weight)

    def score(self, series: Series) -> Scores:
        """Returns the surprisals of rows, as `measured` measures the scorer's scores."""
        return self.measured(self.scorer.score(series))

    def measured(self, scores: Scores) -> Scores:
        """Returns the surprisals of scores; `by_feature` holds each feature's share of its row's, equal ones if all are 0."""
        values = surprisal(scores.values, self.reference)
        total = scores.by_feature.sum(axis=1, keepdims=True)
        shares = np.divide(
            scores.by_feature,
            total,
            out=np.full_like(scores.by_feature, 1 / scores.by_feature.shape[1]),
            where=total != 0,
        )
        return Scores(values, shares * values[:, None])


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The weighted mean surprisal of several scorers.

    It looks back and ahead as far as the member that looks furthest, and like a `Scorer` at nothing else. A row's `by_feature`
    adds up to its score: a member gives each feature the share of its surprisal that the feature has in its own error
    of the row.

    Attributes:
        members: Two or more scorers of the same features, the best first.
    """

    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        features = {member.scorer.features for member in self.members}
        if len(self.members) < 2 or len(features) != 1:
            raise DetectorError(
                f"an ensemble needs two or more members of the same features, but got {len(self.members)} of "
                f"{[list(names) for names in sorted(features)]}; fit them on the same data"
            )

    @classmethod
    def fit(
        cls, scorers: Sequence["Scorer | Ensemble"], validation: Series, weights: Sequence[float] | None = None
    ) -> "Ensemble":
        """Returns the ensemble of fitted scorers.

        Args:
            scorers: Fitted scorers, the best first.
            validation: Rows whose scores each member's surprisal is relative to.
            weights: Weight of each; None weighs all the same.

        Raises:
            DataError: if one of them gives all validation rows the same score.
            DetectorError: if they are fewer than two, of different features, or one is an ensemble.
        """
        plain = [scorer for scorer in scorers if isinstance(scorer, Scorer)]
        if len(plain) < len(scorers):
            raise DetectorError(
                f"members of an ensemble must be single scorers, but {len(scorers) - len(plain)} of {len(scorers)} are "
                f"ensembles; name their members instead"
            )
        pairs = zip(plain, weights or [1.0] * len(plain), strict=True)
        return cls(tuple(Member.fit(scorer, validation, weight) for scorer, weight in pairs))

    @property
    def kind(self) -> str:
        """Name in tables."""
        return f"mean of {', '.join(member.scorer.kind for member in self.members)}"

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns that all members were fitted on, in that order."""
        return self.members[0].scorer.features

    @property
    def scaler(self) -> Scaler:
        """Scaler of the first member, in whose units errors of predictions are reported."""
        return self.members[0].scorer.scaler

    @property
    def parameters(self) -> int:
        """Number of values in the weights of all members."""
        return sum(member.scorer.parameters for member in self.members)

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """Fitted tensors that are saved, by member and name."""
        tensors: dict[str, torch.Tensor] = {}
        for index, member in enumerate(self.members):
            tensors |= {f"{index}.{name}": tensor for name, tensor in member.scorer.tensors.items()}
            tensors[f"{index}.reference"] = torch.from_numpy(member.reference)
        return tensors

    @property
    def lookback(self) -> int:
        """Number of rows that a segment must have before its first scored row."""
        return max(member.scorer.lookback for member in self.members)

    @property
    def lookahead(self) -> int:
        """Number of rows that must follow a row before its score is known."""
        return max(member.scorer.lookahead for member in self.members)

    def score(self, series: Series, past: Series | None = None) -> Scores:
        """Returns one score per row as `Scorer.score` does, NaN where any member has none; raises the same errors."""
        if past is not None:
            return score_after(past, series, self.lookback, self.score)
        needed = self.lookback + self.lookahead + 1
        check_rows(series, self.features, needed, f"{len(self.members)} members with a window and smoothing each")
        errors: dict[tuple[object, ...], NDArray[np.float64]] = {}
        for scorer in (member.scorer for member in self.members):
            if scorer.error_key not in errors:
                errors[scorer.error_key] = scorer.errors(series)
        return self.mean_of(
            [
                member.measured(member.scorer.score_errors(series, errors[member.scorer.error_key]))
                for member in self.members
            ]
        )

    def mean_of(self, scores: Sequence[Scores]) -> Scores:
        """Returns the weighted mean of the members' surprisals of the same rows, NaN where one has none."""
        weights = [member.weight for member in self.members]
        return Scores(
            _mean([member.values for member in scores], weights),
            _mean([member.by_feature for member in scores], weights),
        )

    def predictions(self, series: Series) -> NDArray[np.float64] | None:
        """Returns the (T, F) weighted mean of the predictions of the members that have any, NaN where one has none.

        None if no member predicts anything.

        Raises:
            ValueError: if no segment is long enough for one window of each.
        """
        predictions = [(member.scorer.predictions(series), member.weight) for member in self.members]
        defined = [(values, weight) for values, weight in predictions if values is not None]
        return _mean(*map(list, zip(*defined, strict=True))) if defined else None

    def describe(self) -> EnsembleDescription:
        """Returns the description of the ensemble."""
        members = (MemberDescription(**dict(member.scorer.describe()), weight=member.weight) for member in self.members)
        return EnsembleDescription(members=tuple(members))

    def save(self, folder: Path) -> None:
        """Writes `member-0/`, `member-1/`, ... into `folder`, each with weights and reference scores."""
        for index, member in enumerate(self.members):
            member.scorer.save(_folder(folder, index))
            save_weights({"scores": torch.from_numpy(member.reference)}, _folder(folder, index) / REFERENCE)

    @classmethod
    def restore(cls, description: EnsembleDescription, folder: Path, source: str, device: str) -> "Ensemble":
        """Returns the ensemble that `describe` described and `save` wrote; raises `DetectorError` naming the file at fault."""
        members: list[Member] = []
        for index, member in enumerate(description.members):
            inside = _folder(folder, index)
            scorer = Scorer.restore(member, inside, f"{source}: members.{index}", device)
            scorer = scorer.sharing([earlier.scorer for earlier in members])
            members.append(Member(scorer, _load_reference(inside / REFERENCE), member.weight))
        return cls(tuple(members))


AnyScorer = Scorer | Ensemble
"""Anything that gives rows scores."""


def average(scorers: Sequence[tuple[Scorer, float]], validation: Series, fit: Series) -> AnyScorer:
    """Returns the average of fitted scorers with their weights, or the only one that can be averaged.

    Surprisal is relative to the validation scores; where those are all the same, as on rows of a machine that stands still, to
    those of the fit rows. A member that gives these the same score too says nothing about rows, and is left out with a warning.

    Args:
        scorers: Fitted scorers and their weights.
        validation: Rows after the fit rows.
        fit: Rows that the scorers were fitted on.

    Raises:
        DataError: if no scorer gives any of these rows different scores.
    """
    members, reasons = [], []
    for scorer, weight in scorers:
        try:
            members.append(Member.fit(scorer, validation, weight, fallback=fit))
        except DataError as error:
            reasons.append(f"{scorer.kind}: {error}")
    if not members:
        reason = reasons[0].removesuffix("; leave it out")
        raise DataError(f"no member of the average can score the validation rows ({reason}); give rows that vary")
    for reason in reasons:
        _logger.warning("left out of the average: %s", reason)
    return Ensemble(tuple(members)) if len(members) > 1 else members[0].scorer


def surprisal(scores: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the surprisal of scores relative to validation scores: 0 for a common score, 2 for one row in a hundred.

    That is -log10 of the share of the reference at least as large, (how many) / (n + 1), read at the reference scores and
    linear between them; a score below the smallest is as little surprising as that. It needs no other score of the row's
    series, so it is causal. Plain ranks would end at the largest reference score, and all anomalies would be alike. So we
    go on beyond it as the exponential tail does, the limit of the excesses of light-tailed scores (Pickands, Annals of
    Statistics 1975): the surprisal grows by the score's distance from the largest, in mean excesses of the upper 2 % (10
    scores at least), times log10(e). The whole is continuous and never falls.

    Args:
        scores: Scores of any shape; where they are NaN, so is the surprisal.
        reference: (n,) ascending scores, not all equal.
    """
    levels, first = np.unique(reference, return_index=True)
    surprisals = -np.log10((len(reference) - first) / (len(reference) + 1))
    upper = reference[-max(LEAST, ceil(TAIL * len(reference))) :]
    start = min(upper[0], levels[-2])
    excess = (upper[upper > start] - start).mean()
    beyond = np.maximum(scores - levels[-1], 0) / excess * np.log10(np.e)
    return np.asarray(np.interp(scores, levels, surprisals) + beyond)


def _mean(values: Sequence[NDArray[np.float64]], weights: Sequence[float]) -> NDArray[np.float64]:
    """Returns the weighted mean, added up one by one: NumPy's order of adding depends on the shape."""
    weighted = [weight * value for value, weight in zip(values, weights, strict=True)]
    return np.asarray(sum(weighted[1:], start=weighted[0]) / sum(weights))


def _sorted(scores: Scores) -> NDArray[np.float64]:
    return np.sort(scores.values[~np.isnan(scores.values)])


def _folder(folder: Path, index: int) -> Path:
    return folder / f"member-{index}"


def _load_reference(path: Path) -> NDArray[np.float64]:
    try:
        tensors = load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise DetectorError(f"{path}: must be a safetensors file, but {error}; save the detector again") from None
    values = tensors["scores"].numpy() if tensors.keys() == {"scores"} else np.empty(0)
    ascends = values.ndim == 1 and len(values) > 1 and np.isfinite(values).all() and (np.diff(values) >= 0).all()
    if values.dtype != np.float64 or not ascends or values[0] == values[-1]:
        raise DetectorError(
            f"{path}: must hold finite ascending scores that are not all equal, but does not; save the detector again"
        )
    return values
