"""Anomalies mixed into the rows that a model learns from, to measure how much they harm it."""

import numpy as np

from tsad.errors import DataError
from tsad.series import Series, runs


def contaminate(clean: Series, pool: Series, anomaly_ratio: float, context: int) -> Series:
    """Returns `clean` followed by anomalous stretches of `pool`, each a segment of its own, until the ratio is reached.

    A stretch has `context` rows on either side, as far as the pool has them, so that a window sees it as it happened: no
    window crosses a boundary. Stretches follow in one fixed random order, all of them before one is repeated, so the rows of
    a higher ratio include those of a lower one.

    Args:
        clean: (T, F) rows to learn from.
        pool: (T, F) labeled rows that are never reported.
        anomaly_ratio: Fraction of labeled anomalous rows in the result, which is reached or just exceeded.
        context: Rows of the pool before and after a stretch, usually the window length minus 1.

    Raises:
        DataError: if the pool has no labeled anomaly.
    """
    stretches = [] if pool.labels is None else runs(pool.labels)
    if not stretches:
        raise DataError(
            f"contamination takes labeled anomalies from the rows set apart for choosing, but these {len(pool)} rows have "
            f"none; enlarge split.selection"
        )
    order = np.random.default_rng(0).permutation(len(stretches))
    chunks, boundaries, rows, anomalous = [clean.values], list(clean.boundaries), len(clean), 0
    while anomalous < anomaly_ratio * rows:
        start, stop = stretches[order[(len(chunks) - 1) % len(order)]]
        chunk = pool.part(max(0, start - context), min(len(pool), stop + context))
        boundaries += [rows, *(rows + edge for edge in chunk.boundaries)]
        chunks.append(chunk.values)
        rows += len(chunk)
        anomalous += 0 if chunk.labels is None else int(chunk.labels.sum())
    return Series(np.concatenate(chunks), clean.features, boundaries=tuple(boundaries))
