"""`tsad train`: one experiment, one run; or one run for each machine."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pandas as pd
from tqdm import tqdm

from tsad.assessment.artifacts import DETECTOR, assessed_metrics, metrics, write_assessment, write_results
from tsad.assessment.assessment import Assessment, assess
from tsad.assessment.summary import conclusion, show_comparison
from tsad.data.dataset import DataSet
from tsad.data.sets.smd import SmdSpec
from tsad.errors import SpecError
from tsad.experiment import ExperimentConfig, Outcome, Progress, run
from tsad.registry.log import log_detector
from tsad.tracking.runs import RunWriter, child_run, leading_run
from tsad.tracking.tags import Tag, provenance_tags
from tsad.training.checkpoints import Backup
from tsad.workflows.context import Place, device, load_data, open_place, read_experiment

_SHOWN = ("ranking/vus_pr", "ranking/pr_auc", "ranking/roc_auc", "oracle/best_f1", "deployable/f1", "event/f1")


def train(path: Path, changes: Mapping[str, Any], *, each_machine: bool = False, backup: Backup | None = None) -> None:
    """Trains the experiment of a YAML file, and logs everything it came to.

    Args:
        path: Of the experiment.
        changes: Put at their paths.
        each_machine: Train a detector for each of `data.machine` in a run of its own, all below one run with their means.
        backup: Gets the state of the training every few epochs; the training goes on from there if it has one already.
            With `each_machine`, each machine has a folder in it.
    """
    experiment = read_experiment(path, changes)
    place = open_place()
    if each_machine:
        _train_each(path, experiment, place, backup)
        return
    data = load_data(experiment.data, place.settings)
    with leading_run(place.store, f"{path.stem}-{data.name}", _tags(experiment)) as writer:
        outcome, assessment = _trained(experiment, data, place, writer, backup)
    for name, value in metrics(outcome).items():
        click.echo(f"{name:<28} {value:.4f}")
    click.echo(f"\n{show_comparison(experiment.model.kind, assessment)}\n\n{conclusion(assessment)}\n")
    click.echo(f"threshold: {outcome.detector.threshold.method}")
    click.echo(f"files:     {_folder(place, writer)}")
    click.echo(f"run:       runs:/{writer.run_id}  (detector: runs:/{writer.run_id}/{DETECTOR})")
    click.echo(f"look:      mlflow ui --backend-store-uri {place.settings.tracking_uri}")


def _train_each(path: Path, experiment: ExperimentConfig, place: Place, backup: Backup | None) -> None:
    spec = experiment.data
    if not isinstance(spec, SmdSpec):
        raise SpecError(f"--each-machine trains on machines of SMD, but data.kind is {spec.kind}; leave it out")
    rows = {}
    tags = _tags(experiment)
    with leading_run(place.store, f"{path.stem}-each-machine", {**tags, Tag.KIND: "train-each"}) as parent:
        parent.parameters(experiment.model_dump(mode="json"))
        for machine in spec.machines(place.settings.data_dir):
            one = experiment.model_copy(update={"data": spec.model_copy(update={"machine": machine})})
            data = load_data(one.data, place.settings)
            with child_run(parent, place.store, f"{path.stem}-{data.name}", tags) as writer:
                own = None if backup is None else replace(backup, folder=backup.folder / machine)
                outcome, assessment = _trained(one, data, place, writer, own)
            rows[machine] = metrics(outcome) | assessed_metrics(assessment)
            click.echo(f"{machine:>6}  runs:/{writer.run_id}/{DETECTOR}")
        table = pd.DataFrame.from_dict(rows, orient="index")
        parent.metrics({str(name): value for name, value in table.mean().dropna().items()})
    table.loc["mean"] = table.mean()
    click.echo(f"\n{table[[name for name in _SHOWN if name in table]].to_string(float_format='{:.3f}'.format)}\n")
    click.echo(f"run:       runs:/{parent.run_id}, with a run for each machine below it")
    click.echo(f"look:      mlflow ui --backend-store-uri {place.settings.tracking_uri}")


def _trained(
    experiment: ExperimentConfig, data: DataSet, place: Place, writer: RunWriter, backup: Backup | None
) -> tuple[Outcome, Assessment]:
    """Returns what an experiment comes to, logged by `writer` with its detector."""
    folder, tags = _folder(place, writer), _tags(experiment)
    writer.parameters(experiment.model_dump(mode="json"))
    writer.inputs(data)
    told: list[int] = []
    with tqdm(total=experiment.training.epochs, unit="epoch", desc=experiment.model.kind, disable=None) as bar:

        def on_epoch(progress: Progress) -> None:
            told.append(progress.epoch)
            writer.metrics(progress.losses, step=progress.epoch)
            bar.set_postfix({name: f"{value:.4g}" for name, value in progress.losses.items() if name.endswith("/loss")})
            bar.update(progress.epoch - bar.n)

        outcome = run(
            experiment,
            data,
            on_epoch,
            device=device(place.settings),
            checkpoints=folder / "checkpoints",
            resume=backup is not None,
            backup=backup,
        )
    if backup is not None:
        _tell_of_backup(backup, outcome, told, writer)
    title = f"{experiment.model.kind} on {data.name}"
    write_results(outcome, experiment, folder, title)
    assessment = assess(outcome.detector, experiment, data, title)
    write_assessment(assessment, folder)
    writer.metrics(metrics(outcome) | assessed_metrics(assessment))
    writer.files(folder)
    log_detector(writer.run_id, folder / DETECTOR, data.test, tags)
    return outcome, assessment


def _tell_of_backup(backup: Backup, outcome: Outcome, told: Sequence[int], writer: RunWriter) -> None:
    """Logs what was done before this run began, and says what the backup was good for."""
    if not told:
        click.echo(f"{backup.folder}: nothing to keep, because this model does not learn in epochs")
        return
    before = outcome.history[: told[0] - 1]  # the first epoch told is the last of those before, or the first of all
    for losses in before:
        writer.metrics(losses.curves(), step=losses.epoch)
    if before:
        writer.tags({Tag.RESUMED_AFTER_EPOCH: str(told[0])})
        click.echo(f"{backup.folder}: went on from there after epoch {told[0]}")


def _tags(experiment: ExperimentConfig) -> dict[str, str]:
    return {Tag.KIND: "train", Tag.FAMILY: experiment.model.kind, **provenance_tags(experiment.provenance)}


def _folder(place: Place, writer: RunWriter) -> Path:
    return place.settings.output_dir / "train" / writer.run_id
