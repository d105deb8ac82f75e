"""Figures of the trials of a search."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from tsad.selection.trial import Trial
from tsad.tuning.analysis import drawn_at_random, importance, valued
from tsad.tuning.plots.costs import costs, draw_pareto
from tsad.tuning.plots.niches import draw_niches
from tsad.tuning.plots.params import differing, draw_importance, draw_parallel_coordinates
from tsad.tuning.plots.progress import draw_incumbent, draw_lineage
from tsad.tuning.space import Space
from tsad.tuning.spec import SearchSpec

__all__ = [
    "draw_importance",
    "draw_incumbent",
    "draw_lineage",
    "draw_niches",
    "draw_parallel_coordinates",
    "draw_pareto",
    "search_plots",
]


def search_plots(trials: Sequence[Trial], spec: SearchSpec, space: Space) -> dict[str, Figure]:
    """Returns the figures that the trials can fill, by name; none of them is empty.

    `incumbent` needs one finished trial, `parallel_coordinates` and `pareto` need two that differ, `lineage` one with
    parents, `niches` one of a search by MAP-Elites, `importance` as many as `tsad.tuning.analysis.importance` needs.

    Args:
        trials: All trials that have ended, in any order.
        spec: Settings of the search.
        space: Search space of the trials.
    """
    finished = valued(trials)
    what = f"{spec.maximize.kind}, {spec.algorithm.kind}"
    figures = {}
    if finished:
        random = drawn_at_random(trials, spec)
        figures["incumbent"] = draw_incumbent(trials, random, f"Best so far ({what})")
    if len(finished) > 1 and differing(finished, space):
        figures["parallel_coordinates"] = draw_parallel_coordinates(
            trials, space, f"Hyperparameters of finished trials ({what})"
        )
    if explained := importance(trials, space):
        figures["importance"] = draw_importance(explained, space, f"Importance of hyperparameters ({what})")
    if names := costs(trials):
        figures["pareto"] = draw_pareto(trials, names, f"Value against cost ({what})")
    if finished and spec.algorithm.kind == "map_elites":
        figures["niches"] = draw_niches(trials, f"Best value and trials of each niche ({what})")
    if any(trial.candidate.parents for trial in finished):
        figures["lineage"] = draw_lineage(trials, f"Generations and parents ({what})")
    return figures
