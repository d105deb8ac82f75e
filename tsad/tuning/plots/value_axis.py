"""The value axis of figures: a diverged trial must not compress all others into a line."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from tsad.arrays import Floats
from tsad.evaluation.plots.style import QUIET
from tsad.selection.trial import Trial
from tsad.tuning.analysis import value_of
from tsad.tuning.pareto import comparable


def shown_values(trials: Sequence[Trial]) -> tuple[Floats, float]:
    """Returns the (N,) values, NaN where there is none, and the lowest value that a figure shows as it is.

    That is the lowest value inside Tukey's outer fence, which lies below the middle half of the finished trials by three
    times the spread of that half. If half of them have equal values, it is the lowest of all.

    Args:
        trials: N trials, at least one of which finished with a value.
    """
    values = np.array([np.nan if value_of(trial) is None else trial.value for trial in trials], float)
    finished = np.array([trial.value for trial in trials if comparable(trial)], float)
    quarter, three = np.quantile(finished, (0.25, 0.75), method="higher")  # one of four may have diverged
    fence = quarter - (3 * (three - quarter) or np.inf)
    return values, float(values[values >= fence].min())


def draw_floor(axes: Axes, trials: Sequence[Trial]) -> Floats:
    """Returns the (N,) y coordinates of trials; those without a value, or with a lower one, lie on a line that is drawn."""
    values, lowest = shown_values(trials)
    floor = lowest - 0.08 * ((np.nanmax(values) - lowest) or abs(lowest) or 1)
    y = np.where(values >= lowest, values, floor)  # a comparison with NaN is False
    if (y == floor).any():
        axes.axhline(floor, color=QUIET, linewidth=0.8, linestyle=":")
        where = axes.get_yaxis_transform()
        axes.text(1, floor, "lower, or no value", transform=where, ha="right", va="bottom", color=QUIET, fontsize=9)
    return y
