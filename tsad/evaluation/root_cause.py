"""Root cause: whether the features that gave a labeled event its scores are those that caused it."""

from collections.abc import Sequence
from math import comb
from typing import NamedTuple

import numpy as np

from tsad.arrays import Flags, Floats


class RootCauseScores(NamedTuple):
    """Quality of a ranking of features, each figure from 0 to 1 and a mean over events.

    Attributes:
        hit_rate_100: `hit_rate` at 100 %.
        hit_rate_150: `hit_rate` at 150 %.
        ndcg: Normalized discounted cumulative gain of the whole ranking; a true cause gains 1.
        top_3: Share of events with a true cause among the first three features.
    """

    hit_rate_100: float
    hit_rate_150: float
    ndcg: float
    top_3: float

    def named(self, prefix: str = "root_cause") -> dict[str, float]:
        """Returns the figures under the names that reports use, such as `root_cause/hit_rate_100`."""
        return {f"{prefix}/{name}": value for name, value in self._asdict().items()}


def root_cause_scores(
    by_feature: Floats, causes: Sequence[tuple[int, int, Sequence[str]]], features: Sequence[str]
) -> tuple[RootCauseScores, RootCauseScores]:
    """Returns the scores of a ranking of the features, and those expected of a random ranking.

    The events are the labeled ones, whether or not anything flagged them, so that it depends on no threshold: it says
    whether the ranking is right, not whether the event is detected. An event ranks features by their mean over those of
    its rows that have scores; an event without such a row takes no part. Features that tie count as if in random order
    (the expected value over all orders), so chance is exactly what features that all tie get.

    Args:
        by_feature: (T, F) what each feature gave to each row, NaN where there is none.
        causes: First row, row after the last, and names of the features of each event, at least one.
        features: The F names, at least two.

    Raises:
        ValueError: if an event names none of the features or a foreign one, or no event has a row with scores.
    """
    figures, chance = [], []
    for start, stop, names in causes:
        truth = _truth(names, features)
        scored = by_feature[start:stop][~np.isnan(by_feature[start:stop]).any(axis=1)]
        if len(scored):
            figures.append(_figures(scored.mean(axis=0), truth))
            chance.append(_figures(np.zeros(len(features)), truth))
    if not figures:
        raise ValueError(
            f"root cause needs an event with scores, but none of {len(causes)} has a scored row; take data with causes, or a "
            f"shorter window"
        )
    return RootCauseScores(*np.mean(figures, axis=0).tolist()), RootCauseScores(*np.mean(chance, axis=0).tolist())


def hit_rate(ranking: Floats, truth: Flags, percent: int) -> float:
    """Returns HitRate@P%: the share of the true causes among the first floor(P % x their number) features.

    Su et al. 2019 (OmniAnomaly). Features that tie at the cut count by the chance of being before it.

    Args:
        ranking: (F,) larger is more of a cause.
        truth: (F,) True for the causes, at least one.
        percent: P, at least 100 for 1 to be within reach.
    """
    return float(_chance_of_first(ranking, int(truth.sum()) * percent // 100)[truth].mean())


def top_hit(ranking: Floats, truth: Flags, count: int = 3) -> float:
    """Returns 1 if a true cause is among the first `count` features, 0 if not; the chance of it where features tie."""
    chance = _chance_of_first(ranking, count)
    if (chance[truth] == 1).any():
        return 1.0
    tied = (chance > 0) & (chance < 1)
    open_ranks = count - int((chance == 1).sum())
    return 1 - comb(int((tied & ~truth).sum()), open_ranks) / comb(int(tied.sum()), open_ranks)


def _chance_of_first(ranking: Floats, count: int) -> Floats:
    """Returns (F,) the chance of each feature to be among the first `count`, 0 or 1 but for those that tie at the cut."""
    before = (ranking > ranking[:, None]).sum(axis=1)
    tied = (ranking == ranking[:, None]).sum(axis=1)
    chance: Floats = np.clip((count - before) / tied, 0, 1)
    return chance


def _figures(ranking: Floats, truth: Flags) -> RootCauseScores:
    from sklearn.metrics import ndcg_score  # slow to import, and not needed to score rows

    return RootCauseScores(
        hit_rate(ranking, truth, 100),
        hit_rate(ranking, truth, 150),
        float(ndcg_score(truth[None].astype(float), ranking[None])),
        top_hit(ranking, truth),
    )


def _truth(names: Sequence[str], features: Sequence[str]) -> Flags:
    """Returns (F,) True for the named features."""
    if not names or len(features) < 2 or not set(names) <= set(features):
        raise ValueError(
            f"a cause must name at least one of two or more features, but names {list(names)} of {list(features)}; correct the "
            f"causes or leave them out"
        )
    return np.isin(features, names)
