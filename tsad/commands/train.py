"""`tsad train`: one experiment, one run."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from tsad.assessment import assess
from tsad.commands.place import device, open_place, read_experiment
from tsad.experiment import Progress, run
from tsad.results import DETECTOR, assessed_metrics, metrics, write_assessment, write_results
from tsad.search.report import show_comparison, show_verdict
from tsad.serving.registry import log_detector
from tsad.tracking.runs import leading_run

_logger = logging.getLogger(__name__)


def train(path: Path, changes: Mapping[str, Any]) -> None:
    """Trains the experiment of a YAML file, and logs everything it came to."""
    experiment = read_experiment(path, changes)
    place = open_place()
    data = experiment.data.load(place.settings.data_dir)
    tags = {
        "tsad.kind": "train",
        "tsad.family": experiment.model.kind,
        **experiment.provenance.tags(),
    }
    with leading_run(place.store, f"{path.stem}-{data.name}", tags) as writer:
        folder = place.settings.output_dir / "train" / writer.run_id
        writer.parameters(experiment.model_dump(mode="json"))
        writer.inputs(data)
        with tqdm(total=experiment.training.epochs, unit="epoch", desc=experiment.model.kind, disable=None) as bar:

            def on_epoch(progress: Progress) -> None:
                writer.metrics(progress.losses, step=progress.epoch)
                bar.set_postfix(
                    {name: f"{value:.4g}" for name, value in progress.losses.items() if name.endswith("/loss")}
                )
                bar.update()

            outcome = run(experiment, data, on_epoch, device=device(place.settings), checkpoints=folder / "checkpoints")
        title = f"{experiment.model.kind} on {data.name}"
        write_results(outcome, experiment, folder, title)
        assessment = assess(outcome.detector, experiment, data, title)
        write_assessment(assessment, folder)
        writer.metrics(metrics(outcome) | assessed_metrics(assessment))
        writer.files(folder)
        log_detector(writer.run_id, folder / DETECTOR, data.test, tags)
    for name, value in metrics(outcome).items():
        click.echo(f"{name:<28} {value:.4f}")
    click.echo(f"\n{show_comparison(experiment.model.kind, assessment)}\n\n{show_verdict(assessment)}\n")
    click.echo(f"threshold: {outcome.detector.threshold.method}")
    click.echo(f"files:     {folder}")
    click.echo(f"run:       runs:/{writer.run_id}  (detector: runs:/{writer.run_id}/{DETECTOR})")
    click.echo(f"look:      mlflow ui --backend-store-uri {place.settings.tracking_uri}")
