"""Rows as they come, in any chunks, with the scores and flags of the batch."""

from tsad.streaming.policy import StreamPolicy
from tsad.streaming.stream import Stream, Verdicts

__all__ = ["Stream", "StreamPolicy", "Verdicts"]
