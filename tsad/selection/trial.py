"""Candidates and trials: what a search proposes and what became of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import inf, isnan
from typing import Any, Literal

State = Literal["finished", "stopped", "failed"]
"""Ran to its end; was ended early (its value is that of an early epoch, or none); raised an error."""


@dataclass(frozen=True)
class Candidate:
    """One experiment that a search algorithm proposes.

    Attributes:
        number: From 0 on, in the order of proposal.
        generation: From 0 on; search algorithms without generations stay at 0.
        hyperparameters: Chosen value by address, active hyperparameters only.
        experiment: The resolved experiment as plain values.
        parents: Numbers of the candidates it was bred from; none for a drawn one.
    """

    number: int
    generation: int
    params: Mapping[str, Any]
    experiment: Mapping[str, Any]
    parents: tuple[int, ...] = ()

    @cached_property
    def config_fingerprint(self) -> str:
        """Hash of the resolved experiment; equal experiments have equal hashes, whatever hyperparameters they come from."""
        return fingerprint(self.experiment)

    @property
    def family(self) -> str:
        """The kind of its model."""
        return str(self.experiment["model"]["kind"])

    @property
    def name(self) -> str:
        """A short name that sorts by generation, such as `g03-tcn_ae-017`."""
        return f"g{self.generation:02d}-{self.family}-{self.number:03d}"


@dataclass(frozen=True)
class Trial:
    """A candidate that was tried.

    Attributes:
        candidate: What was tried.
        state: How it ended.
        value: What is maximized, at the end for a finished trial, at its last rung for a stopped one; None if unknown.
        seconds: Wall time from its start to its end.
        epochs: Epochs trained; 0 for a closed form.
        metrics: Of its last evaluation.
        reason: Why it was stopped or failed.
        elapsed: Seconds from the start of the search to its end.
        reused: The run of an earlier search that it was taken from; empty if it was trained for this one.
        node: The machine of the cluster that it ran on; empty if it never reported.
    """

    candidate: Candidate
    state: State
    value: float | None
    seconds: float
    epochs: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    elapsed: float = 0.0
    reused: str = ""
    node: str = ""

    @property
    def rank(self) -> tuple[bool, float, int]:
        """A key that sorts trials best first: finished before others, then by value, the older candidate among equals."""
        return (
            self.state != "finished",
            -self.value if self.value is not None and not isnan(self.value) else inf,
            self.candidate.number,
        )


def fingerprint(experiment: Mapping[str, Any]) -> str:
    """Returns the hash of a resolved experiment; the order of its keys makes no difference."""
    return hashlib.sha256(json.dumps(experiment, sort_keys=True).encode()).hexdigest()
