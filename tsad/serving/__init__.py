"""Serving: detectors in the model registry and out of it."""
