"""A detector: from windows and predictions to a score per row, a threshold, and their files."""
