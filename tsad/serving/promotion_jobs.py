"""Promotions: a candidate of a search must beat the champion on rows that the operator chose and no request brought."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from tsad.registry.register import candidates_of
from tsad.serving.errors import RequestError
from tsad.serving.jobs import LOG, OUTPUTS, JobSpec
from tsad.serving.served_model import ServedModel
from tsad.spec import Spec


class NewPromotion(Spec):
    """The body that sends a candidate to the gate.

    Attributes:
        version: Number of the candidate, as the result of its search says.
    """

    version: int = Field(ge=1)


def task_of_promotion(new: NewPromotion, served: ServedModel, gate: Path | None) -> JobSpec:
    """Returns the job that compares a candidate with the champion of the served model, and promotes it if it is better.

    Args:
        new: Names the candidate.
        served: The model whose champion it must beat.
        gate: Experiment whose rows decide; None if the service was started without one.

    Raises:
        RequestError: if the model is in no registry, or the service has no rows to decide on.
    """
    name = served.source.name
    if name is None:
        raise RequestError(
            409, f"only a registered model has a champion, but {served.source.uri} is none; serve models:/NAME@champion"
        )
    if gate is None:
        raise RequestError(
            409,
            "a promotion needs rows that nobody sent, but the service has none; start it with --gate EXPERIMENT.yaml",
        )
    candidate = f"models:/{candidates_of(name)}/{new.version}"
    words = (sys.executable, "-m", "tsad", "promote", candidate, "--data", str(gate), "--into", name)
    return JobSpec("promotion", {}, lambda folder: None, partial(_conclude, candidate), words)


def _conclude(candidate: str, folder: Path) -> Mapping[str, Any]:
    """Returns what the gate decided, from the files of the job."""
    decided = next(folder.glob(f"{OUTPUTS}/promote/*/gate.txt"), None)
    text = (decided or folder / LOG).read_text(encoding="utf-8").strip()
    return {"candidate": candidate, "decision": text, "run_id": None if decided is None else decided.parent.name}
