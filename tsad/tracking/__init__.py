"""Tracking: commands, searches and trials as MLflow runs."""
