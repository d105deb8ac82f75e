"""Ranks of trials under several objectives: a value to maximize, costs to minimize (NSGA-II: Deb et al., IEEE TEC 6(2), 2002)."""

from collections.abc import Sequence

import numpy as np

from tsad.arrays import Floats, Indices
from tsad.selection.trial import Trial


def fronts(points: Floats) -> list[Indices]:
    """Returns the indices of the points by Pareto front, the best front first, each front ascending.

    A point is dominated if another is smaller in no objective and larger in one. No point dominates a point of the first
    front; only points of earlier fronts dominate a point of a later front. Equal points are in the same front.

    >>> [front.tolist() for front in fronts(np.array([[1.0, 5], [4, 4], [3, 3]]))]
    [[0, 1], [2]]

    Args:
        points: Shape (points, objectives), all to be maximized, none NaN; no points have no fronts.
    """
    nowhere_smaller = np.all(points[:, None] >= points[None], axis=2)
    dominates = nowhere_smaller & ~nowhere_smaller.T
    remaining, result = np.arange(len(points)), []
    while remaining.size:
        first = ~dominates[np.ix_(remaining, remaining)].any(axis=0)
        result.append(remaining[first])
        remaining = remaining[~first]
    return result


def crowding(points: Floats) -> Floats:
    """Returns the crowding distance of each point of one front: between its two neighbors, summed over objectives.

    Each objective is divided by its spread over the front; one without spread adds nothing. Points at an end of an
    objective with spread have an infinite distance. Equal points are taken in their order.

    Args:
        points: Shape (points, objectives).
    """
    distances = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        sorted_column = column[order]
        if len(points) and sorted_column[0] < sorted_column[-1]:
            spread = sorted_column[-1] - sorted_column[0]
            distances[order[1:-1]] += (sorted_column[2:] - sorted_column[:-2]) / spread
            distances[order[[0, -1]]] = np.inf
    return distances


def comparable(trial: Trial) -> bool:
    """Returns whether a trial competes with others: finished, with a finite value."""
    return trial.state == "finished" and trial.value is not None and bool(np.isfinite(trial.value))


def objectives(trials: Sequence[Trial], minimize: Sequence[str]) -> Floats:
    """Returns the objectives of comparable trials, shape (trials, 1 + costs), all to be maximized.

    Args:
        trials: Comparable trials.
        minimize: Names of the metrics to minimize, whose negatives are returned.

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
    return sorted((finished[index] for indices in best for index in indices), key=lambda trial: trial.rank)


def best_first(trials: Sequence[Trial], minimize: Sequence[str]) -> list[Trial]:
    """Returns comparable trials by front and, within a front, by descending crowding distance; by value if no cost counts."""
    if not minimize:
        return sorted(trials, key=lambda trial: trial.rank)
    points = objectives(trials, minimize)
    keys = [
        (number, -distance, *trials[index].rank, index)
        for number, members in enumerate(fronts(points))
        for index, distance in zip(members, crowding(points[members]), strict=True)
    ]
    return [trials[key[-1]] for key in sorted(keys)]
