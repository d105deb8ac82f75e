"""Pictures of an evaluation, drawn without a display.

Every picture is drawn of whatever there is: what is not known (labels, a threshold) is left out, and where nothing is left the
picture says why. A series of any length is thinned to what can be seen, in which every single-row peak stays.
"""

from tsad.evaluation.plots.curves import draw_f1_vs_threshold, draw_losses, draw_precision_recall, draw_roc
from tsad.evaluation.plots.scores import draw_score_distribution, draw_scores
from tsad.evaluation.plots.series import draw_reconstruction, draw_series

__all__ = [
    "draw_f1_vs_threshold",
    "draw_losses",
    "draw_precision_recall",
    "draw_reconstruction",
    "draw_roc",
    "draw_score_distribution",
    "draw_scores",
    "draw_series",
]
