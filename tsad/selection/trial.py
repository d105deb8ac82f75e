"""Candidates and trials: what a search proposes, and how each proposal ended."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf, isnan
from pathlib import Path
from typing import Any, Literal

from tsad.config import ExperimentConfig

DEFAULT = "default"
"""Name of the anchor that is the detector to beat."""

State = Literal["finished", "stopped", "failed"]
"""State of a trial at its end: it trained fully, was stopped early (its value is that of a rung, or None), or raised an error."""


@dataclass(frozen=True)
class Candidate:
    """One experiment that a search algorithm proposes.

    The experiment is parsed once, where the candidate is proposed or read from the journal, and carried from there: to the
    worker that trains it, to its run, and to the ensemble that it may become a member of.

    Attributes:
        number: Index of the candidate in the order of proposal, from 0.
        generation: Number of the generation that the candidate belongs to, from 0; always 0 for search algorithms that
            have no generations.
        params: Value of each active hyperparameter by its address in the search space.
        experiment: The resolved experiment.
        parents: Numbers of the candidates that this one was made from; empty for a candidate that was drawn.
        anchor: Name of the anchor, an experiment that is tried first and is no point of the space; empty for all others.
    """

    number: int
    generation: int
    params: Mapping[str, Any]
    experiment: ExperimentConfig
    parents: tuple[int, ...] = ()
    anchor: str = ""

    @cached_property
    def experiment_values(self) -> dict[str, Any]:
        """The resolved experiment as plain values, as JSON and YAML hold them."""
        return self.experiment.model_dump(mode="json")

    @cached_property
    def config_fingerprint(self) -> str:
        """Hash of the resolved experiment; equal experiments have equal hashes, whatever hyperparameters they come from."""
        return fingerprint(self.experiment_values)

    @property
    def family(self) -> str:
        """Kind of the model, such as `lstm_ae`."""
        return self.experiment.family

    @property
    def name(self) -> str:
        """Short name that sorts by generation, such as `g03-tcn_ae-017`, or `g00-default-000` of an anchor."""
        return f"g{self.generation:02d}-{self.anchor.replace(' ', '_') or self.family}-{self.number:03d}"


@dataclass(frozen=True)
class Trial:
    """A candidate that was tried, and its result.

    Attributes:
        candidate: The candidate; for a member of a population, with the hyperparameters and the experiment that it ended with.
        state: How the trial ended.
        value: Value of the maximized objective, at the end for a finished trial, at its last rung for a stopped one; None
            if there is none.
        seconds: Wall time from the start of the trial to its end; 0 for a reused one.
        epochs: Number of trained epochs; 0 for a closed-form model.
        metrics: Metrics of the last evaluation by name.
        reason: Why the trial was stopped or failed; empty for a finished one.
        elapsed: Seconds from the start of the search to the end of the trial, summed over all sessions of the search.
        reused: Id of the run of an earlier search that the trial was taken from; empty if it was trained for this one.
        node: Id of the Ray node that the trial ran on; empty if it never reported.
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
        """Sort key that puts the best trial first: finished ones before others, then by value, older ones first among equals."""
        return (
            self.state != "finished",
            -self.value if self.value is not None and not isnan(self.value) else inf,
            self.candidate.number,
        )


EndedTrials = Sequence[tuple[Trial, Path | None]]
"""Trials that have ended, each with the folder that holds its files, or None if it left none."""


def fingerprint(values: Mapping[str, Any]) -> str:
    """Returns the SHA-256 hash of plain values, in hexadecimal digits; the order of the keys makes no difference.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
