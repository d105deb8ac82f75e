"""Row-level metrics: every row counts once."""

from tsad.arrays import Flags, Floats


def precision_recall_f1(flags: Flags, labels: Flags) -> tuple[float, float, float]:
    """Returns precision, recall and F1 of flags, each 0 where its denominator is (nothing flagged, nothing anomalous)."""
    hits = int((flags & labels).sum())
    flagged, anomalous = int(flags.sum()), int(labels.sum())
    return (
        hits / flagged if flagged else 0.0,
        hits / anomalous if anomalous else 0.0,
        2 * hits / (flagged + anomalous) if flagged + anomalous else 0.0,
    )


def roc_auc(scores: Floats, labels: Flags) -> float:
    """Returns the area under the ROC curve; chance is 0.5. Normal and anomalous rows must both occur."""
    from sklearn.metrics import roc_auc_score  # slow to import, and not needed to score rows

    return float(roc_auc_score(labels, scores))


def pr_auc(scores: Floats, labels: Flags) -> float:
    """Returns average precision (no interpolation); chance is the anomaly ratio. Both kinds of rows must occur."""
    from sklearn.metrics import average_precision_score  # slow to import, and not needed to score rows

    return float(average_precision_score(labels, scores))
