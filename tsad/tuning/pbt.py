"""Population based training without the population: which hyperparameters may change in mid-training, how, and what came of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsad.assessment.artifacts import SCHEDULE
from tsad.experiment import ExperimentConfig
from tsad.spec import Spec, parse
from tsad.training.loop import TrainingSpec
from tsad.tuning.algorithms.contract import CandidateFactory
from tsad.tuning.algorithms.genetics import mutated
from tsad.tuning.space import ChoiceParam, Space

_FIXED = ("training.epochs", "training.patience")
"""When training ends; a member that could lengthen its own would no longer compete on equal terms."""


def changeable(space: Space) -> tuple[str, ...]:
    """Returns the addresses of hyperparameters under `training` that may change in mid-training, those with one option left out."""
    return tuple(
        address
        for address, param in space.params.items()
        if address.startswith("training.")
        and address not in _FIXED
        and not (isinstance(param, ChoiceParam) and len(param.choice) == 1)
    )


@dataclass(frozen=True, eq=False)
class Explorer:
    """Makes the experiment of a copy from that of its donor.

    Args:
        candidate factory: Of the space; its generator draws what changes.
    """

    factory: CandidateFactory

    def __call__(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `params` and `experiment` of a copy of a donor with these hyperparameters.

        Of the active hyperparameters of `changeable` each has changed with a chance of one half, and one at least; the others are the
        donor's. Hyperparameters that come to exist by that are drawn, those that cease to are dropped.
        """
        space = self.factory.space
        own = {address: params[address] for address in changeable(space) if address in params}
        changed = mutated(self.factory, own, chance=0.5) if own else {}
        values, active = space.resolve({**params, **changed}, self.factory.generator)
        return {"params": active, "experiment": parse(ExperimentConfig, values, "search space").model_dump(mode="json")}


class Leg(Spec):
    """What one trial did of a training.

    Attributes:
        start: Epochs that were done before.
        trial: Name of the trial.
        training: How it trained until the next leg starts.
    """

    start: int
    trial: str
    training: TrainingSpec


def extended(legs: Sequence[Leg], start: int, trial: str, training: TrainingSpec) -> list[Leg]:
    """Returns the legs, and a new one if it is not `trial` that ran the last: then the weights are another's, copied."""
    if legs and legs[-1].trial == trial:
        return list(legs)
    return [*legs, Leg(start=start, trial=trial, training=training)]


def write_schedule(legs: Sequence[Leg], folder: Path) -> None:
    """Writes `schedule.json`: a line for each leg, oldest first; after the first, only what changed in `training`.

    With the rest of `experiment.yaml` it makes the training again: a run of the first leg's `training` up to the start of
    the second, from there a resumed run of the second's, and so on.
    """
    lines: list[str] = []
    before: dict[str, Any] = {}
    for leg in legs:
        line = leg.model_dump(mode="json")
        training = line["training"]
        line["training"] = {
            name: value for name, value in training.items() if name not in before or before[name] != value
        }
        lines.append(json.dumps(line))
        before = training
    (folder / SCHEDULE).write_text("[" + ",\n ".join(lines) + "]\n", encoding="utf-8")


def read_schedule(folder: Path) -> list[Leg]:
    """Returns what `write_schedule` wrote."""
    legs: list[Leg] = []
    training: dict[str, Any] = {}
    for line in json.loads((folder / SCHEDULE).read_text(encoding="utf-8")):
        training = training | line["training"]
        legs.append(parse(Leg, line | {"training": training}, str(folder / SCHEDULE)))
    return legs
