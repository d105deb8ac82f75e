"""Evaluation: scores and flags against labels."""
