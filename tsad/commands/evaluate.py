"""`tsad evaluate`: what a detector, or a pair of saved scores and labels, is worth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from tsad.commands.place import open_place, read_experiment, read_settings
from tsad.data.split import split
from tsad.errors import DataError
from tsad.evaluation.plots import draw_scores
from tsad.evaluation.report import Report, evaluate
from tsad.experiment import report
from tsad.panel import run_panel
from tsad.results import write_report
from tsad.search.report import show_comparison
from tsad.serving.registry import load_detector


def evaluate_model(model: str, path: Path, changes: Mapping[str, Any], output: Path) -> None:
    """Evaluates a saved detector on the reported test rows of an experiment's data, beside the trivial panel."""
    experiment = read_experiment(path, changes)
    place = open_place()
    detector = load_detector(model)
    data = experiment.data.load(place.settings.data_dir)
    parts = split(data, experiment.split, detector.scorer.rows_before + 1)
    scores = detector.score(parts.test)
    found = report(detector, scores, parts.test, parts.reported)
    output.mkdir(parents=True, exist_ok=True)
    np.save(output / "scores.npy", scores.values, allow_pickle=False)
    if parts.test.labels is not None:
        np.save(output / "labels.npy", parts.test.labels, allow_pickle=False)
    figure = draw_scores(
        scores.values, parts.test.labels, detector.threshold.level, f"{model} on {data.name}", parts.reported.start
    )
    figure.savefig(output / "scores.png")
    _write(found, output)
    click.echo(show_comparison(detector.scorer.model_spec.kind, found, run_panel(experiment, data)))
    click.echo(f"\nfiles: {output}")


def evaluate_scores(scores: Path, labels: Path, output: Path) -> None:
    """Evaluates two saved arrays of length T. No threshold comes with them, so metrics of flags are left undefined."""
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
    found = evaluate(values, None, truth.astype(bool))
    output.mkdir(parents=True, exist_ok=True)
    _write(found, output)
    for name, value in found.metrics.items():
        click.echo(f"{name:<24} {value:.4f}")
    click.echo(f"\nfiles: {output}")


def _write(found: Report, output: Path) -> None:
    write_report(found, output)
    for name, reason in found.undefined.items():
        click.echo(f"{name} is undefined: {reason}", err=True)


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
