"""Find, prove and serve anomaly detectors for multivariate time series.

The program is one sentence: a `Series` is cut into `Windows`; a model gives an `Estimate` of each; the misfit is a
score per row; a `Threshold` makes flags; flags against labels make a `Report`.
"""
