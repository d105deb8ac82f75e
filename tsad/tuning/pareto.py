"""Trials under several objectives: `value` large, some metrics small (NSGA-II: Deb et al., IEEE TEC 6(2), 2002)."""

from collections.abc import Sequence

import numpy as np

from tsad.arrays import Floats, Indices
from tsad.selection.trial import Trial


def fronts(points: Floats) -> list[Indices]:
    """Returns the places of the points by front, the best front first, each front ascending.

    A point is dominated if another is nowhere smaller and somewhere larger. Nothing dominates a point of the first front;
    only points of earlier fronts dominate one of a later. Equal points share a front.

    Args:
        points: Shape (points, objectives), all to be large, none NaN; no points have no fronts.
    """
    nowhere_smaller = np.all(points[:, None] >= points[None], axis=2)
    dominates = nowhere_smaller & ~nowhere_smaller.T
    rest, found = np.arange(len(points)), []
    while rest.size:
        first = ~dominates[np.ix_(rest, rest)].any(axis=0)
        found.append(rest[first])
        rest = rest[~first]
    return found


def crowding(points: Floats) -> Floats:
    """Returns how lonely each point of one front is: the distances between its two neighbors, summed over objectives.

    Each objective is in units of its spread over the front; one without spread adds nothing. The ends of the others are
    infinitely lonely. Equal points are taken in their order.

    Args:
        points: Shape (points, objectives).
    """
    lonely = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        sorted_column = column[order]
        if len(points) and sorted_column[0] < sorted_column[-1]:
            spread = sorted_column[-1] - sorted_column[0]
            lonely[order[1:-1]] += (sorted_column[2:] - sorted_column[:-2]) / spread
            lonely[order[[0, -1]]] = np.inf
    return lonely


def comparable(trial: Trial) -> bool:
    """Returns whether a trial competes with others: finished, and worth a number."""
    return trial.state == "finished" and trial.value is not None and bool(np.isfinite(trial.value))


def objectives(trials: Sequence[Trial], minimize: Sequence[str]) -> Floats:
    """Returns what comparable trials are worth, shape (trials, 1 + minimize), all to be large.

    Raises:
        ValueError: if a trial lacks a metric of `minimize`, or has no finite number there.
    """
    for trial in trials:
        for name in minimize:
            if not np.isfinite(trial.metrics.get(name, np.nan)):
                raise ValueError(
                    f"minimize must name metrics that every finished trial has, but {trial.candidate.name} has "
                    f"{name}={trial.metrics.get(name)}; choose of {', '.join(sorted(trial.metrics)) or 'none'}"
                )
    rows = [[trial.value, *(-trial.metrics[name] for name in minimize)] for trial in trials]
    return np.array(rows, dtype=np.float64).reshape(len(trials), 1 + len(minimize))


def front(trials: Sequence[Trial], minimize: Sequence[str]) -> list[Trial]:
    """Returns the finished trials that no other dominates, the largest value first, the older among equals."""
    finished = [trial for trial in trials if comparable(trial)]
    best = fronts(objectives(finished, minimize))[:1]
    return sorted((finished[place] for places in best for place in places), key=lambda trial: trial.rank)


def best_first(trials: Sequence[Trial], minimize: Sequence[str]) -> list[Trial]:
    """Returns comparable trials by front, the lonelier first within one; by value alone if nothing is to be small."""
    if not minimize:
        return sorted(trials, key=lambda trial: trial.rank)
    points = objectives(trials, minimize)
    keys = [
        (threshold, -lonely, *trials[place].rank, place)
        for threshold, members in enumerate(fronts(points))
        for place, lonely in zip(members, crowding(points[members]), strict=True)
    ]
    return [trials[key[-1]] for key in sorted(keys)]
