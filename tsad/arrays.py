"""Names of the arrays that pass between the rooms; shapes stand in docstrings."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
"""Double precision: scores, thresholds, metrics."""

Flags = NDArray[np.bool_]
"""One truth value a row: labels, flags, masks."""

Integers = NDArray[np.int64]
"""Whole numbers: counts, numbers of rows."""

Indices = NDArray[np.intp]
"""Positions in another array."""

Values = NDArray[np.float32 | np.float64]
"""Values of features: single precision where that is enough (`tsad.data.precision`), else double."""

Times = NDArray[np.datetime64]
"""Time stamps of rows."""
