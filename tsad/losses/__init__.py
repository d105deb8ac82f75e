"""Losses: from misfits to one number that training makes small."""

from tsad.losses.squared_error import SquaredErrorSpec

TermSpec = SquaredErrorSpec
"""Every loss term that a YAML can name."""
