"""The baselines: detectors so simple that a deep one must beat them to be worth its cost."""
