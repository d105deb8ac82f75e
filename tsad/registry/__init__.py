"""Detectors in MLflow's model registry: logging, loading, aliases, and the promotion gate."""
