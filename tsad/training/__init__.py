"""Training: from windows and an objective to a fitted model."""
