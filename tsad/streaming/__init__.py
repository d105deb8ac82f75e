"""Rows as they come, in any chunks, with the scores and flags of the batch."""

from tsad.streaming.policy import Silence, StreamPolicy
from tsad.streaming.stream import ScoredRows, Stream

__all__ = ["ScoredRows", "Silence", "Stream", "StreamPolicy"]
