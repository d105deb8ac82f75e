"""Trials as a search would leave them, made of a few numbers."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from tsad.config import ExperimentConfig
from tsad.selection.trial import Candidate, State, Trial
from tsad.spec import parse
from tsad.tuning.space import Space

SPACE = Space(
    {
        "data": {"kind": "synthetic"},
        "window": {"length": {"choice": [8, 16, 32]}},
        "model": {
            "choice": [
                {"kind": "lstm_ae", "hidden": {"choice": [32, 64]}},
                {"kind": "tcn_ae", "hidden": {"choice": [16, 32]}},
                {"kind": "l2"},
            ]
        },
        "training": {
            "learning_rate": {"range": [1e-3, 1e-1], "log": True, "when": {"model.kind": ["lstm_ae", "tcn_ae"]}}
        },
        "scoring": {"smooth": {"choice": ["none", "mean"]}},
    }
)


@cache
def experiment_of(family: str) -> ExperimentConfig:
    """Returns an experiment on synthetic rows; a family that does not exist is called so without being checked."""
    exists = family in ("l2", "lstm_ae", "tcn_ae")
    values = {"data": {"kind": "synthetic", "rows": 1000}, "model": {"kind": family if exists else "l2"}}
    experiment = parse(ExperimentConfig, values, "a test")
    model = experiment.model.model_copy(update={"kind": family})
    return experiment.model_copy(update={"model": model})


def trial(
    number: int,
    value: float | None = None,
    *,
    state: State = "finished",
    params: dict[str, Any] | None = None,
    family: str = "lstm_ae",
    generation: int = 0,
    parents: tuple[int, ...] = (),
    metrics: dict[str, float] | None = None,
    **fields: Any,
) -> Trial:
    """Returns a trial that ended `number` + 1 seconds after the search began, unless `fields` says otherwise."""
    candidate = Candidate(number, generation, params or {}, experiment_of(family), parents)
    return Trial(
        candidate, state, value, **{"seconds": 1.0, "elapsed": number + 1.0, "metrics": metrics or {}} | fields
    )


def in_niche(number: int, value: float | None, family: str, length: int, **fields: Any) -> Trial:
    """Returns a trial of a family with windows of `length` rows, whose scores look back at one row less."""
    one = trial(number, value, family=family, **fields)
    window = one.candidate.experiment.window.model_copy(update={"length": length})
    experiment = one.candidate.experiment.model_copy(update={"window": window})
    return replace(one, candidate=replace(one.candidate, experiment=experiment))


def drawn(count: int, seed: int = 0, population: int = 0) -> list[Trial]:
    """Returns finished trials of SPACE: the window decides most of the value, the model the rest, smoothing nothing.

    With a population, those after the first so many are in generations and have two parents from the one before.
    """
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        values, params = SPACE.resolve({}, generator)
        value = {8: 0.2, 16: 0.4, 32: 0.6}[values["window"]["length"]] + 0.05 * (values["model"]["kind"] == "tcn_ae")
        value += 0.01 * generator.standard_normal()
        generation = number // population if population else 0
        parents = tuple(range((generation - 1) * population, (generation - 1) * population + 2)) if generation else ()
        metrics = {
            "ranking/vus_pr": value**2,
            "ranking/pr_auc": float(generator.random()),
            "oracle/best_f1": 0.5,
            "objective/validation_error": -value,
            "cost/parameters": 0.0 if values["model"]["kind"] == "l2" else float(10 ** generator.uniform(2, 6)),
            "cost/seconds": float(generator.uniform(1, 3)),
        }
        family = values["model"]["kind"]
        found.append(
            trial(number, value, params=params, family=family, generation=generation, parents=parents, metrics=metrics)
        )
    return found
