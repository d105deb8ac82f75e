"""Drift: whether rows and scores still look like those that a detector learned from, and what to do about its threshold."""

from tsad.drift.profile import PROFILE, ColumnDrift, Comparison, Drift, Profile, drift, most_drifted
from tsad.drift.recalibration import RECALIBRATIONS, Recalibration, recalibrated, threshold_spec

__all__ = [
    "PROFILE",
    "RECALIBRATIONS",
    "ColumnDrift",
    "Comparison",
    "Drift",
    "Profile",
    "Recalibration",
    "drift",
    "most_drifted",
    "recalibrated",
    "threshold_spec",
]
