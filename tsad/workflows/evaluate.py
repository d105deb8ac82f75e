"""`tsad evaluate`: what a detector, or a pair of saved scores and labels, is worth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from tsad.assessment.artifacts import write_assessment, write_scores
from tsad.assessment.assessment import Assessment, assess, assess_scores
from tsad.assessment.summary import conclusion, show_comparison
from tsad.errors import DataError
from tsad.registry.load import load_detector
from tsad.workflows.context import load_data, open_place, read_experiment, read_settings


def evaluate_model(model: str, path: Path, changes: Mapping[str, Any], output: Path) -> None:
    """Evaluates a saved detector on the reported test rows of an experiment's data, beside the baselines."""
    experiment = read_experiment(path, changes)
    place = open_place()
    detector = load_detector(model)
    data = load_data(experiment.data, place.settings)
    assessment = assess(detector, experiment, data, f"{model} on {data.name}")
    _write(assessment, output)
    click.echo(f"{show_comparison(detector.scorer.kind, assessment)}\n\n{conclusion(assessment)}")
    _say_where(output)


def evaluate_scores(scores: Path, labels: Path, output: Path) -> None:
    """Evaluates two saved arrays of length T. No threshold comes with them, so flags are those of the best F1, an oracle."""
    read_settings()
    values, truth = _array(scores).astype(np.float64), _array(labels)
    if values.shape != truth.shape or values.ndim != 1:
        raise DataError(
            f"scores and labels must be (T,) of one length, but {scores} is {values.shape}, {labels} {truth.shape}"
        )
    if not np.isin(truth, (0, 1)).all():
        raise DataError(f"{labels}: labels must be 0 or 1, but hold {np.unique(truth)[:5].tolist()}")
    if np.isinf(values).any():
        raise DataError(f"{scores}: scores must be finite or NaN, but row {int(np.isinf(values).argmax())} is infinite")
    assessment = assess_scores(values, truth.astype(bool), f"{scores.name} against {labels.name}")
    _write(assessment, output)
    for name, value in assessment.report.metrics.items():
        click.echo(f"{name:<32} {value:.4f}")
    click.echo(
        "No threshold came with the scores: flags are those of the best F1, which labels of these rows chose (oracle)."
    )
    _say_where(output)


def _write(assessment: Assessment, output: Path) -> None:
    write_scores(assessment, output)
    write_assessment(assessment, output)
    for name, reason in assessment.report.undefined.items():
        click.echo(f"{name} is undefined: {reason}", err=True)


def _say_where(output: Path) -> None:
    click.echo(f"\nfiles:  {output}\nreport: {output / 'report.html'}")


def _array(path: Path) -> NDArray[Any]:
    try:
        values: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: must be a .npy array of numbers, but {error}") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise DataError(
            f"{path}: must be a .npy array of numbers, but holds {getattr(values, 'dtype', type(values).__name__)}"
        )
    return values
