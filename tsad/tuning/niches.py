"""Niches of a search: trials of one family of models whose scores look back equally far, represented by the best of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from tsad.selection.trial import Candidate, Trial
from tsad.tuning.pareto import best_first, comparable

Memory = Literal["short", "medium", "long"]
"""Class of the number of rows that a score looks back at."""
MEMORIES: tuple[Memory, ...] = get_args(Memory)
"""All classes of memory, ascending."""
MEDIUM_FROM = 16
"""Rows of lookback from which memory is medium: a window of 16 without smoothing is the longest that is short.

Both bounds are fixed, so that niches of different searches can be compared. Of candidates drawn from `search_spaces/full.yaml`,
whose scores look back at 7 to 102 rows, 34 % are short, 50 % medium and 15 % long.
"""
LONG_FROM = 64
"""Rows of lookback from which memory is long: a window of 64 without smoothing is the longest that is medium.

Scores that are normalized by a rolling median, of a day for example, are long.
"""

LOOKBACKS: Mapping[Memory, str] = {
    "short": f"fewer than {MEDIUM_FROM} rows",
    "medium": f"{MEDIUM_FROM} to {LONG_FROM - 1} rows",
    "long": f"{LONG_FROM} rows or more",
}
"""Lookback of each class of memory, in words."""


class Niche(NamedTuple):
    """Candidates of one family of models and one class of memory, which compete with each other only.

    Attributes:
        family: Kind of the model, such as `lstm_ae`.
        memory: Class of the number of rows that a score looks back at.
    """

    family: str
    memory: Memory


class NicheSummary(NamedTuple):
    """Summary of the trials of a niche.

    Attributes:
        niche: The niche.
        trials: Number of trials in the niche, in whatever state they ended.
        best: Finished trial with the largest value; None if no trial finished with a finite value.
    """

    niche: Niche
    trials: int
    best: Trial | None


def memory(candidate: Candidate) -> Memory:
    """Returns how far a score of the candidate looks back: at the rows of window, smoothing and normalization together."""
    rows = candidate.experiment.lookback
    return "short" if rows < MEDIUM_FROM else "medium" if rows < LONG_FROM else "long"


def niche_of(candidate: Candidate) -> Niche:
    """Returns the niche of a candidate."""
    return Niche(candidate.family, memory(candidate))


def niche_elites(trials: Iterable[Trial], minimize: Sequence[str] = ()) -> dict[Niche, Trial]:
    """Returns the best trial of each niche, niches in the order of their first finished trial; the older among equals.

    With costs, trials are compared by `tsad.tuning.pareto.best_first`, so costs decide only between trials of equal value.
    Trials that did not finish with a finite value are left out.

    Args:
        trials: Trials in any order.
        minimize: Names of the metrics to minimize.

    Raises:
        ValueError: if a finished trial lacks a metric of `minimize`.
    """
    elites: dict[Niche, Trial] = {}
    for trial in filter(comparable, trials):
        niche = niche_of(trial.candidate)
        elites[niche] = best_first([*([elites[niche]] if niche in elites else []), trial], minimize)[0]
    return elites


def niche_summaries(trials: Sequence[Trial]) -> list[NicheSummary]:
    """Returns a summary of each niche that has a trial, by family in alphabetical order, then by ascending memory."""
    counts, elites = Counter(niche_of(trial.candidate) for trial in trials), niche_elites(trials)
    ordered = sorted(counts, key=lambda niche: (niche.family, MEMORIES.index(niche.memory)))
    return [NicheSummary(niche, counts[niche], elites.get(niche)) for niche in ordered]
