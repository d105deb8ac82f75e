"""Anomalies mixed into the rows that a model learns from, to measure what they do to it."""

import numpy as np

from tsad.errors import DataError
from tsad.series import Series, runs


def contaminate(clean: Series, pool: Series, share: float, context: int) -> Series:
    """Returns `clean` followed by anomalous stretches of `pool`, each a segment of its own, until `share` is reached.

    A stretch comes with `context` rows on either side, as far as the pool has them, so that a window meets it as it
    happened: windows reach across no seam. Stretches come in one fixed random order, all of them before one comes again,
    so that a higher share holds the stretches of a lower one.

    Args:
        clean: (T, F) rows to learn from.
        pool: Labeled rows that are never reported.
        share: Of labeled anomalous rows among the rows that come out, reached or just passed.
        context: Rows of the pool before and after a stretch, the window length less 1.

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
    chunks, boundaries, rows, strange = [clean.values], list(clean.boundaries), len(clean), 0
    while strange < share * rows:
        start, stop = stretches[order[(len(chunks) - 1) % len(order)]]
        chunk = pool.part(max(0, start - context), min(len(pool), stop + context))
        boundaries += [rows, *(rows + edge for edge in chunk.boundaries)]
        chunks.append(chunk.values)
        rows += len(chunk)
        strange += 0 if chunk.labels is None else int(chunk.labels.sum())
    return Series(np.concatenate(chunks), clean.features, boundaries=tuple(boundaries))
