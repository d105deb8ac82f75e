"""What a search came to, in numbers: its incumbents, random's best at equal cost, what hyperparameters and metrics have to do with it."""

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
from tsad.assessment.artifacts import HEADLINES
from tsad.evaluation.intervals import Interval, interval
from tsad.selection.trial import Trial
from tsad.tuning.pareto import comparable
from tsad.tuning.space import ChoiceParam, Param, Space
from tsad.tuning.spec import SearchSpec

FEWEST = 12
"""Finished trials below which nothing is said of hyperparameters."""
FEWEST_PAIRS = 4
"""Finished trials below which nothing is said of a rank correlation."""
VALUE = "value"
"""What was maximized."""
OBJECTIVES = ("objective/label_free", "objective/labeled", "objective/validation_error")
"""Metrics of a trial that say what another search would have maximized."""
_TREES, _REPEATS, _FOLDS, _PERMUTATIONS, _RESAMPLES = 20, 3, 5, 4, 1000


# --- trials ---


def in_order(trials: Sequence[Trial]) -> list[Trial]:
    """Returns the trials in the order in which they ended."""
    return sorted(trials, key=lambda trial: (trial.elapsed, trial.candidate.number))


def valued(trials: Sequence[Trial]) -> list[Trial]:
    """Returns the finished trials with a value, in the order in which they ended; NaN and infinity are none."""
    return [trial for trial in in_order(trials) if comparable(trial)]


def value_of(trial: Trial) -> float | None:
    """Returns the trial's value, None in place of NaN and infinity."""
    return trial.value if trial.value is not None and math.isfinite(trial.value) else None


def incumbents(trials: Sequence[Trial]) -> list[Trial]:
    """Returns the finished trials that were better than all that had ended before them, in the order of ending."""
    found: list[Trial] = []
    for trial in valued(trials):
        if not found or trial.value > found[-1].value:  # type: ignore[operator]  # valued, both
            found.append(trial)
    return found


def drawn_at_random(trials: Sequence[Trial], spec: SearchSpec) -> list[Trial]:
    """Returns the trials of generation 0 without parents, in the order of ending; none if the search algorithm draws none.

    A grid enumerates, a sampler that keeps no parents models, members of a population copy: no random search. Later candidates
    without parents may have been picked out of many. The first generation of evolution is spread evenly over the options of
    each hyperparameter, which is a little better than random.
    """
    if spec.pbt is not None or spec.algorithm.kind not in ("random", "evolution", "aging"):
        return []
    return [trial for trial in in_order(trials) if not trial.candidate.parents and not trial.candidate.generation]


# --- random at equal cost ---


def mean_seconds(trials: Sequence[Trial]) -> float:
    """Returns what a trial took on average; those taken from earlier searches took nothing here and are left out; 0 if all."""
    took = [trial.seconds for trial in trials if not trial.reused]
    return sum(took) / len(took) if took else 0.0


def best_of(values: Sequence[float | None], size: int) -> Interval:
    """Returns the expected best of `size` of the values, drawn without replacement, and where it lies 95 times of 100.

    Exact: the k-th smallest of N is the largest of n with probability (C(k, n) - C(k - 1, n)) / C(N, n). Dodge et al.
    (EMNLP 2019) draw with replacement, which is biased downwards (Tang et al., ACL 2020). None is a trial that cost as much
    and came to nothing; draws of nothing else are left out. The interval says how luck in the order of these N moves the
    best, and is a point at n = N: what other candidates the space holds it cannot know.

    Args:
        values: N of them, of which one at least is not None.
        size: From 1 to N.

    Raises:
        ValueError: if there is no value, or not as many as are to be drawn.
    """
    known = np.sort([value for value in values if value is not None])
    if not len(known) or not 1 <= size <= len(values):
        raise ValueError(
            f"the best of a draw needs a value and 1 to all of the trials, but got size={size}, {len(values)} trials, "
            f"{len(known)} with a value; draw fewer"
        )
    places = np.arange(len(values) - len(known), len(values) + 1)
    logs = gammaln(places + 1) - gammaln(np.maximum(places - size, 0) + 1)
    below = np.where(places >= size, np.exp(logs - logs[-1]), 0.0)  # P(the largest is at most the k-th smallest)
    reached = (below[1:] - below[0]) / (1 - below[0])
    low, high = known[np.searchsorted(reached, (0.025, 0.975))]
    return Interval(float(np.diff(reached, prepend=0) @ known), float(low), float(high))


# --- what goes with the value ---


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> Interval | None:
    """Returns Spearman's rank correlation of N pairs with its bootstrap interval over pairs; ties share their mean rank.

    None below `FEWEST_PAIRS` pairs, and if one side is constant. The same pairs give the same interval.
    """
    pairs = np.array([first, second])
    if pairs.shape[1] < FEWEST_PAIRS or not np.ptp(pairs, axis=1).all():
        return None
    drawn = np.random.default_rng(0).integers(pairs.shape[1], size=(_RESAMPLES, pairs.shape[1]))
    ranks = rankdata(np.concatenate([pairs[:, None], pairs[:, drawn]], axis=1), axis=2)
    ranks -= ranks.mean(axis=2, keepdims=True)
    norms = np.sqrt((ranks**2).sum(axis=2).prod(axis=0))
    found = np.divide((ranks[0] * ranks[1]).sum(axis=1), norms, out=np.full(len(norms), np.nan), where=norms > 0)
    return interval(float(found[0]), found[1:])


def correlations(trials: Sequence[Trial], objective: str = VALUE) -> dict[str, tuple[Interval, int]]:
    """Returns the rank correlation of an objective with each headline metric and other objective, and how many trials it is of.

    Over finished trials with both; what `rank_correlation` leaves undefined is left out.

    Args:
        trials: In any order.
        objective: What was maximized, or one of `OBJECTIVES`.
    """
    told = [{**trial.metrics, **({} if trial.value is None else {VALUE: trial.value})} for trial in valued(trials)]
    found = {}
    for name in (*HEADLINES, *OBJECTIVES):
        both = [(each[objective], each[name]) for each in told if objective in each and name in each]
        pairs = [(first, second) for first, second in both if math.isfinite(first + second)]
        correlation = rank_correlation(*zip(*pairs, strict=True)) if pairs and name != objective else None
        if correlation is not None:
            found[name] = (correlation, len(pairs))
    return found


def importance(trials: Sequence[Trial], space: Space) -> dict[str, Interval]:
    """Returns how much of the variance of the value's ranks each hyperparameter decides, by address, with its 95 % interval.

    Permutation importance (Breiman 2001, section 10): a random forest predicts held-out trials (5 folds, 3 times), once as
    they are and once with the hyperparameter's value taken from another trial; half the rise of the squared error over the variance
    is 0 for a hyperparameter without effect and 1 for one that alone decides; interactions count for each of their hyperparameters. The
    interval is a bootstrap over trials. fANOVA (Hutter et al., ICML 2014) splits the forest's own variance instead, which
    is not held out.

    We depart in two points. Ranks stand for values, so that one diverged training does not outweigh the rest. And a hyperparameter
    is exchanged only among the trials in which it is active: what is counted is which value it has, not whether it is there.
    A search that converges has seen little of what it left behind, so the numbers are those of the trials, not of the space.

    Returns:
        Hyperparameters with two values or more among the finished trials, in the order of the space; nothing below `FEWEST` finished
        trials, or if all are worth the same.
    """
    finished = valued(trials)
    values = np.array([trial.value for trial in finished])
    columns = _columns([trial.candidate.params for trial in finished], space)
    if len(finished) < FEWEST or not np.ptp(values) or not columns:
        return {}
    ranks = rankdata(values)
    rises = _rises(columns, (ranks - ranks.mean()) / ranks.std()) / 2
    drawn = np.random.default_rng(0).integers(len(values), size=(_RESAMPLES, len(values)))
    return {
        address: interval(float(rise.mean()), rise[drawn].mean(axis=1))
        for address, rise in zip(columns, rises, strict=True)
    }


def _columns(params: Sequence[Mapping[str, Any]], space: Space) -> dict[str, tuple[Floats, NDArray[np.bool_]]]:
    """Returns, by hyperparameter with two values or more, its (N, C) columns and the (N,) trials in which it is active.

    Numbers make one column, with what is not active below all others; options of other kinds make one each.
    """
    found = {}
    for address, param in space.params.items():
        active = np.array([address in each for each in params])
        values = [each[address] for each in params if address in each]
        if len(set(values)) < 2:
            continue
        if (numbers := _numbers(param, values)) is not None:
            columns = np.full((len(params), 1), min(numbers) - 1.0)
            columns[active, 0] = numbers
        else:
            columns = np.zeros((len(params), max(values) + 1))
            columns[np.flatnonzero(active), values] = 1
        found[address] = (columns, active)
    return found


def _numbers(param: Param, values: Sequence[Any]) -> list[float] | None:
    """Returns what the hyperparameter's values are as numbers, None if its options are not."""
    if not isinstance(param, ChoiceParam):
        return [float(value) for value in values]
    if not param.numbers:
        return None
    return [float(param.choice[place]) for place in values]


def _rises(columns: Mapping[str, tuple[Floats, NDArray[np.bool_]]], target: Floats) -> Floats:
    """Returns the (G, N) mean rise of each held-out trial's squared error when a hyperparameter is exchanged."""
    generator = np.random.default_rng(0)
    whole = np.hstack([table for table, _ in columns.values()])
    ends = np.cumsum([table.shape[1] for table, _ in columns.values()])
    rises = np.zeros((len(columns), len(target)))
    for repeat in range(_REPEATS):
        exchanged = np.tile(whole, (len(columns), _PERMUTATIONS, 1, 1))  # (G, P, N, C)
        for place, (table, active) in enumerate(columns.values()):
            own = slice(ends[place] - table.shape[1], ends[place])
            for permuted in exchanged[place]:
                permuted[active, own] = table[generator.permutation(np.flatnonzero(active))]
        for learned, held in KFold(_FOLDS, shuffle=True, random_state=repeat).split(whole):
            forest = RandomForestRegressor(_TREES, min_samples_leaf=2, random_state=repeat)
            forest.fit(whole[learned], target[learned])
            before = (forest.predict(whole[held]) - target[held]) ** 2
            predicted = forest.predict(exchanged[:, :, held].reshape(-1, whole.shape[1]))
            after = (predicted.reshape(len(columns), _PERMUTATIONS, len(held)) - target[held]) ** 2
            rises[:, held] += (after.mean(axis=1) - before) / _REPEATS
    return rises


# --- how hyperparameters are named ---


def param_names(space: Space) -> dict[str, str]:
    """Returns the shortest end of each hyperparameter's address that no other has: `hidden`, or `lstm_ae.hidden` beside `tcn_ae.hidden`."""
    parts = {address: address.replace(":", ".").split(".") for address in space.params}
    ends = {address: [".".join(each[-size:]) for size in range(1, len(each) + 1)] for address, each in parts.items()}
    shared = [end for each in ends.values() for end in each]
    return {address: next((end for end in each if shared.count(end) == 1), each[-1]) for address, each in ends.items()}


def param_value(param: Param, value: Any) -> str:
    """Returns a hyperparameter's value as people read it: a number, an option, or the kind of a section (its place, if kinds recur)."""
    if not isinstance(param, ChoiceParam):
        return f"{value:g}"
    option = param.choice[value]
    if not isinstance(option, Mapping):
        return str(option)
    kinds = [each.get("kind", "option") if isinstance(each, Mapping) else None for each in param.choice]
    return str(kinds[value]) if kinds.count(kinds[value]) == 1 else f"{kinds[value]}#{value}"


def param_values(trial: Trial, space: Space) -> dict[str, str]:
    """Returns the trial's active hyperparameters by name, in the order of the space."""
    names, params = param_names(space), trial.candidate.params
    return {
        names[address]: param_value(param, params[address])
        for address, param in space.params.items()
        if address in params
    }
