"""Tracking: what happened, as MLflow runs."""
