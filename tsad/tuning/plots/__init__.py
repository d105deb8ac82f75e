"""Pictures of a search."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from tsad.selection.trial import Trial
from tsad.tuning.analysis import drawn_at_random, importance, valued
from tsad.tuning.plots.costs import costs, draw_pareto
from tsad.tuning.plots.params import differing, draw_importance, draw_parallel_coordinates
from tsad.tuning.plots.progress import draw_incumbent, draw_lineage
from tsad.tuning.space import Space
from tsad.tuning.spec import SearchSpec

__all__ = [
    "draw_importance",
    "draw_incumbent",
    "draw_lineage",
    "draw_parallel_coordinates",
    "draw_pareto",
    "search_plots",
]


def search_plots(trials: Sequence[Trial], spec: SearchSpec, space: Space) -> dict[str, Figure]:
    """Returns the pictures that the trials at hand fill, by name; none of them is empty.

    `incumbent` of one finished trial or more; `parallel_coordinates` and `pareto` of two; `lineage` if one has parents;
    `importance` if it is known.
    """
    finished = valued(trials)
    what = f"{spec.maximize.kind}, {spec.algorithm.kind}"
    found = {}
    if finished:
        random = drawn_at_random(trials, spec)
        found["incumbent"] = draw_incumbent(trials, random, f"Best so far ({what})")
    if len(finished) > 1 and differing(finished, space):
        found["parallel_coordinates"] = draw_parallel_coordinates(
            trials, space, f"Hyperparameters of finished trials ({what})"
        )
    if shares := importance(trials, space):
        found["importance"] = draw_importance(shares, space, f"What the hyperparameters decide ({what})")
    if names := costs(trials):
        found["pareto"] = draw_pareto(trials, names, f"Value against cost ({what})")
    if any(trial.candidate.parents for trial in finished):
        found["lineage"] = draw_lineage(trials, f"Generations and parents ({what})")
    return found
