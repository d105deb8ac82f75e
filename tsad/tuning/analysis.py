"""Statistics of the trials of a search: incumbents, random search at equal cost, rank correlations, importance."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import KFold

from tsad.arrays import Floats
from tsad.evaluation.intervals import Interval, interval
from tsad.evaluation.registry import HEADLINES
from tsad.selection.objective import OBJECTIVES
from tsad.selection.trial import Trial
from tsad.tuning.algorithms.map_elites import MapElitesSpec
from tsad.tuning.pareto import comparable
from tsad.tuning.space import ChoiceParam, Param, Space
from tsad.tuning.spec import SearchSpec

MIN_TRIALS = 12
"""Smallest number of finished trials for which the importance of hyperparameters is computed."""
MIN_PAIRS = 4
"""Smallest number of pairs for which a rank correlation is computed."""
VALUE = "value"
"""Name of the maximized objective among the metrics of a trial."""
_TREES, _REPEATS, _FOLDS, _PERMUTATIONS, _RESAMPLES = 20, 3, 5, 4, 1000


# --- trials ---


def in_order(trials: Sequence[Trial]) -> list[Trial]:
    """Returns the trials in the order in which they ended."""
    return sorted(trials, key=lambda trial: (trial.elapsed, trial.candidate.number))


def valued(trials: Sequence[Trial]) -> list[Trial]:
    """Returns the finished trials with a finite value, in the order in which they ended."""
    return [trial for trial in in_order(trials) if comparable(trial)]


def value_of(trial: Trial) -> float | None:
    """Returns the value of a trial, None in place of NaN and infinity."""
    return trial.value if trial.value is not None and math.isfinite(trial.value) else None


def incumbents(trials: Sequence[Trial]) -> list[Trial]:
    """Returns the finished trials that were better than all that had ended before them, in the order of ending."""
    best_so_far: list[Trial] = []
    for trial in valued(trials):
        if not best_so_far or trial.value > best_so_far[-1].value:  # type: ignore[operator]  # both have a value
            best_so_far.append(trial)
    return best_so_far


def drawn_at_random(trials: Sequence[Trial], spec: SearchSpec) -> list[Trial]:
    """Returns the trials that estimate random search: those of generation 0 without parents, in the order of ending.

    None of a search by grid, by Optuna, or by population based training, whose candidates are not random. Candidates without
    parents in later generations are left out, because they may have been chosen from a pool, and so are those of MAP-Elites
    after its first population, because the limit of families has chosen among them. First generations are spread evenly over
    the options of each hyperparameter, which is a little better than random.
    """
    if spec.pbt is not None or spec.algorithm.kind not in ("random", "evolution", "aging", "map_elites"):
        return []
    first = [trial for trial in in_order(trials) if not trial.candidate.parents and not trial.candidate.generation]
    drawn = [trial for trial in first if not trial.candidate.anchor]
    if isinstance(spec.algorithm, MapElitesSpec):
        anchors = len(first) - len(drawn)  # numbered before all others
        return [trial for trial in drawn if trial.candidate.number < anchors + spec.algorithm.population]
    return drawn


# --- random at equal cost ---


def mean_seconds(trials: Sequence[Trial]) -> float:
    """Returns the mean wall time of the trials that were not reused from earlier searches; 0 if there are none."""
    seconds = [trial.seconds for trial in trials if not trial.reused]
    return sum(seconds) / len(seconds) if seconds else 0.0


def best_of(values: Sequence[float | None], size: int) -> Interval:
    """Returns the expected best of `size` values drawn without replacement, with an interval that holds 95 % of the draws.

    The result is exact: the k-th smallest of N is the largest of n with probability (C(k, n) - C(k - 1, n)) / C(N, n). Dodge
    et al. (EMNLP 2019) draw with replacement, which is biased downwards (Tang et al., ACL 2020). None stands for a trial
    without a value, which has cost as much as the others; draws of nothing but None are left out. The interval shows how
    the order of these N values moves the best. It is a point at n = N, because it knows no other candidates of the space.

    Args:
        values: N values, at least one of which is not None.
        size: Number of drawn values, from 1 to N.

    Raises:
        ValueError: if there is no value, or not as many as are to be drawn.

    Example:
        >>> round(best_of([0.25, 0.75, 0.5], size=2).value, 3)
        0.667
    """
    finite = np.sort([value for value in values if value is not None])
    if not len(finite) or not 1 <= size <= len(values):
        raise ValueError(
            f"the best of a draw needs a value and 1 to all of the trials, but got size={size}, {len(values)} trials, "
            f"{len(finite)} with a value; draw fewer"
        )
    ranks = np.arange(len(values) - len(finite), len(values) + 1)
    logs = gammaln(ranks + 1) - gammaln(np.maximum(ranks - size, 0) + 1)
    below = np.where(ranks >= size, np.exp(logs - logs[-1]), 0.0)  # P(the largest is at most the k-th smallest)
    reached = (below[1:] - below[0]) / (1 - below[0])
    low, high = finite[np.searchsorted(reached, (0.025, 0.975))]
    return Interval(float(np.diff(reached, prepend=0) @ finite), float(low), float(high))


# --- what goes with the value ---


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> Interval | None:
    """Returns Spearman's rank correlation of pairs with a bootstrap interval over the pairs; ties share their mean rank.

    Equal pairs give an equal interval.

    Args:
        first: N numbers.
        second: The other number of each pair.

    Returns:
        The correlation, or None below `MIN_PAIRS` pairs and if one side is constant.
    """
    pairs = np.array([first, second])
    if pairs.shape[1] < MIN_PAIRS or not np.ptp(pairs, axis=1).all():
        return None
    drawn = np.random.default_rng(0).integers(pairs.shape[1], size=(_RESAMPLES, pairs.shape[1]))
    ranks = rankdata(np.concatenate([pairs[:, None], pairs[:, drawn]], axis=1), axis=2)
    ranks -= ranks.mean(axis=2, keepdims=True)
    norms = np.sqrt((ranks**2).sum(axis=2).prod(axis=0))
    correlations = np.divide((ranks[0] * ranks[1]).sum(axis=1), norms, out=np.full(len(norms), np.nan), where=norms > 0)
    return interval(float(correlations[0]), correlations[1:])


def correlations(trials: Sequence[Trial], objective: str = VALUE) -> dict[str, tuple[Interval, int]]:
    """Returns the rank correlation of an objective with each headline metric and each other objective, over finished trials.

    Args:
        trials: Trials in any order.
        objective: Name of the objective: `VALUE` for the maximized one, or one of `OBJECTIVES`.

    Returns:
        Correlation and number of trials by metric; metrics whose correlation is undefined are left out.
    """
    measured = [{**trial.metrics, **({} if trial.value is None else {VALUE: trial.value})} for trial in valued(trials)]
    results = {}
    for name in (*HEADLINES, *OBJECTIVES):
        both = [(values[objective], values[name]) for values in measured if objective in values and name in values]
        pairs = [(first, second) for first, second in both if math.isfinite(first + second)]
        correlation = rank_correlation(*zip(*pairs, strict=True)) if pairs and name != objective else None
        if correlation is not None:
            results[name] = (correlation, len(pairs))
    return results


def importance(trials: Sequence[Trial], space: Space) -> dict[str, Interval]:
    """Returns which fraction of the variance of the value's ranks each hyperparameter explains, with a 95 % interval.

    Permutation importance (Breiman 2001, section 10): a random forest predicts held-out trials (5 folds, 3 times), once as
    they are and once with the value of the hyperparameter taken from another trial. Half the increase of the squared error
    over the variance is 0 for a hyperparameter without effect and 1 for one that explains everything; interactions count
    for each of their hyperparameters. The interval is a bootstrap over trials. fANOVA (Hutter et al., ICML 2014) splits the
    variance of the forest itself, which is not held out.

    Two departures: ranks replace values, so that one diverged training does not outweigh the others; and a hyperparameter
    is exchanged only among the trials in which it is active, so its value counts and not whether it is active. A search that
    converges has few trials in the regions that it left, so the results describe the trials and not the space.

    Returns:
        Importance by address, of hyperparameters with two values or more among the finished trials, in the order of the
        space; empty below `MIN_TRIALS` finished trials, or if all have equal values.
    """
    finished = valued(trials)
    values = np.array([trial.value for trial in finished])
    columns = _columns([trial.candidate.params for trial in finished], space)
    if len(finished) < MIN_TRIALS or not np.ptp(values) or not columns:
        return {}
    ranks = rankdata(values)
    rises = _error_increases(columns, (ranks - ranks.mean()) / ranks.std()) / 2
    drawn = np.random.default_rng(0).integers(len(values), size=(_RESAMPLES, len(values)))
    return {
        address: interval(float(rise.mean()), rise[drawn].mean(axis=1))
        for address, rise in zip(columns, rises, strict=True)
    }


def _columns(params: Sequence[Mapping[str, Any]], space: Space) -> dict[str, tuple[Floats, NDArray[np.bool_]]]:
    """Returns, by hyperparameter with two values or more, its (N, C) columns and the (N,) trials in which it is active.

    Numbers make one column, in which inactive trials lie below all others; each option that is not a number makes a column.
    """
    table = {}
    for address, param in space.params.items():
        active = np.array([address in assigned for assigned in params])
        values = [assigned[address] for assigned in params if address in assigned]
        if len(set(values)) < 2:
            continue
        if (numbers := _numbers(param, values)) is not None:
            columns = np.full((len(params), 1), min(numbers) - 1.0)
            columns[active, 0] = numbers
        else:
            columns = np.zeros((len(params), max(values) + 1))
            columns[np.flatnonzero(active), values] = 1
        table[address] = (columns, active)
    return table


def _numbers(param: Param, values: Sequence[Any]) -> list[float] | None:
    """Returns the values of a hyperparameter as numbers, None if its options are not numbers."""
    if not isinstance(param, ChoiceParam):
        return [float(value) for value in values]
    if not param.numbers:
        return None
    return [float(param.choice[option]) for option in values]


def _error_increases(columns: Mapping[str, tuple[Floats, NDArray[np.bool_]]], target: Floats) -> Floats:
    """Returns the mean increase of the squared error of each held-out trial, shape (hyperparameters, trials)."""
    generator = np.random.default_rng(0)
    whole = np.hstack([table for table, _ in columns.values()])
    ends = np.cumsum([table.shape[1] for table, _ in columns.values()])
    rises = np.zeros((len(columns), len(target)))
    for repeat in range(_REPEATS):
        exchanged = np.tile(whole, (len(columns), _PERMUTATIONS, 1, 1))  # (hyperparameters, permutations, N, C)
        for index, (table, active) in enumerate(columns.values()):
            own = slice(ends[index] - table.shape[1], ends[index])
            for permuted in exchanged[index]:
                permuted[active, own] = table[generator.permutation(np.flatnonzero(active))]
        for learned, held in KFold(_FOLDS, shuffle=True, random_state=repeat).split(whole):
            forest = RandomForestRegressor(_TREES, min_samples_leaf=2, random_state=repeat)
            forest.fit(whole[learned], target[learned])
            before = (forest.predict(whole[held]) - target[held]) ** 2
            predicted = forest.predict(exchanged[:, :, held].reshape(-1, whole.shape[1]))
            after = (predicted.reshape(len(columns), _PERMUTATIONS, len(held)) - target[held]) ** 2
            rises[:, held] += (after.mean(axis=1) - before) / _REPEATS
    return rises
