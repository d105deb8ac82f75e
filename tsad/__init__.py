"""Find, prove and serve anomaly detectors for multivariate time series.

The program is one sentence: a `Series` is cut into `Windows`; a model gives an `Prediction` of each; the error is a
score per row; a `Threshold` makes flags; flags against labels make a `Report`.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
"""Threads that wait by spinning make two trials on two cores run many times slower; read when torch is first imported."""
