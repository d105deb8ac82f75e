"""Population based training: which hyperparameters change in mid-training, how they change, and the schedule that results."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tsad.assessment.file_names import SCHEDULE
from tsad.selection.trial import Candidate
from tsad.spec import Spec, parse
from tsad.training.loop import TrainingSpec
from tsad.tuning.algorithms.contract import CandidateFactory
from tsad.tuning.algorithms.genetics import mutated
from tsad.tuning.space import ChoiceParam, Space

_FIXED = ("training.epochs", "training.patience")
"""Hyperparameters that decide when training ends; a member that could lengthen its own would not compete on equal terms."""


def changeable(space: Space) -> tuple[str, ...]:
    """Returns the addresses of the hyperparameters under `training` that may change in mid-training.

    Those with one option and those that decide when training ends are left out.
    """
    return tuple(
        address
        for address, param in space.params.items()
        if address.startswith("training.")
        and address not in _FIXED
        and not (isinstance(param, ChoiceParam) and len(param.choice) == 1)
    )


def explore(donor: Candidate, factory: CandidateFactory) -> Candidate:
    """Returns what a copy of a donor trains next: the donor with changed hyperparameters and the experiment that they make.

    Of the active hyperparameters of `changeable`, each changes with a probability of one half and at least one changes; the
    others are the donor's. Hyperparameters that become active by that are drawn, those that cease to be are dropped.

    Args:
        donor: Candidate that the copied trial trains at the moment.
        factory: Factory of the search space; its generator draws the changes.
    """
    own = {address: donor.params[address] for address in changeable(factory.space) if address in donor.params}
    changed = mutated(factory, own, chance=0.5) if own else {}
    params, experiment = factory.resolve({**donor.params, **changed})
    return replace(donor, params=params, experiment=experiment)


class ScheduleSegment(Spec):
    """A part of a training that one trial of a population trained with the same settings.

    Attributes:
        start: Number of epochs that were trained before the segment.
        trial: Name of the trial that trained it.
        training: Settings of the training until the next segment starts.
    """

    start: int
    trial: str
    training: TrainingSpec


def extended(
    segments: Sequence[ScheduleSegment], start: int, trial: str, training: TrainingSpec
) -> list[ScheduleSegment]:
    """Returns the segments, followed by a new one unless `trial` trained the last: then the weights were copied."""
    if segments and segments[-1].trial == trial:
        return list(segments)
    return [*segments, ScheduleSegment(start=start, trial=trial, training=training)]


def write_schedule(segments: Sequence[ScheduleSegment], folder: Path) -> None:
    """Writes `schedule.json`: one line for each segment, oldest first; later ones hold only what changed in `training`.

    Together with the rest of `experiment.yaml` it reproduces the training: a run with the first segment's `training` up to
    the start of the second, a resumed run with the second's from there, and so on.
    """
    lines: list[str] = []
    before: dict[str, Any] = {}
    for segment in segments:
        line = segment.model_dump(mode="json")
        training = line["training"]
        line["training"] = {
            name: value for name, value in training.items() if name not in before or before[name] != value
        }
        lines.append(json.dumps(line))
        before = training
    (folder / SCHEDULE).write_text("[" + ",\n ".join(lines) + "]\n", encoding="utf-8")


def read_schedule(folder: Path) -> list[ScheduleSegment]:
    """Returns the segments that `write_schedule` wrote into a folder."""
    segments: list[ScheduleSegment] = []
    training: dict[str, Any] = {}
    for line in json.loads((folder / SCHEDULE).read_text(encoding="utf-8")):
        training = training | line["training"]
        segments.append(parse(ScheduleSegment, line | {"training": training}, str(folder / SCHEDULE)))
    return segments
