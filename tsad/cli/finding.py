"""Verbs that find and prove detectors, and score files."""

from collections.abc import Sequence
from pathlib import Path

import click

from tsad.cli.options import FOLDER, PASS_ON, PLAIN, YAML, Auto, changes_of, extra_words, overrides


@click.command(context_settings=PASS_ON)
@click.argument("experiment", type=YAML)
@overrides
@click.option("--each-machine", is_flag=True, help="One detector for each of data.machine, in a run below one run.")
@click.option("--backup", type=FOLDER, help="Gets the state of the training; the same command goes on from there.")
@click.option("--backup-every", type=click.IntRange(1), default=5, show_default=True, help="Epochs between two copies.")
@extra_words
def train(
    experiment: Path,
    assignments: Sequence[str],
    extra: Sequence[str],
    *,
    each_machine: bool,
    backup: Path | None,
    backup_every: int,
) -> None:
    """Train one EXPERIMENT.yaml as one MLflow run."""
    from tsad.training.checkpoints import Backup
    from tsad.workflows.train import train as command

    kept = None if backup is None else Backup(backup, backup_every)
    command(experiment, changes_of(assignments, extra), each_machine=each_machine, backup=kept)


@click.command(context_settings=PASS_ON)
@click.argument("space", type=YAML)
@overrides
@click.option("--trials", type=Auto(int), default="auto", help="Candidates to try.")
@click.option("--seconds", type=Auto(float), default="auto", help="End after this long.")
@click.option("--parallel", type=Auto(int), default="auto", help="Trials that run side by side.")
@click.option("--cpus", type=Auto(float), default="auto", help="Cores of a trial.")
@click.option("--gpus", type=Auto(float), default="auto", help="GPUs of a trial; fractions too.")
@click.option("--resume", is_flag=True, help="Go on with the newest such search that did not come to its end.")
@extra_words
def search(
    space: Path, assignments: Sequence[str], extra: Sequence[str], *, resume: bool, **options: float | None
) -> None:
    """Search SPACE.yaml; the winner becomes models:/tsad@champion if it passes the gate."""
    from tsad.workflows.search import search as command

    given = {f"search.{name}": value for name, value in options.items() if value is not None}
    command(space, changes_of(assignments, extra) | given, resume=resume)


@click.command(context_settings=PASS_ON)
@click.option(
    "--model", help="models:/NAME@alias, models:/NAME/VERSION, runs:/ID/detector, or a saved detector's folder."
)
@click.option("--data", type=YAML, help="The EXPERIMENT.yaml whose data and split are used.")
@click.option("--scores", type=YAML, help="Array of T scores (.npy); NaN = no score.")
@click.option("--labels", type=YAML, help="Array of T labels (.npy), 0 or 1.")
@click.option("--output", type=FOLDER, required=True, help="Folder for the results.")
@overrides
@extra_words
def evaluate(
    model: str | None,
    data: Path | None,
    scores: Path | None,
    labels: Path | None,
    output: Path,
    assignments: Sequence[str],
    extra: Sequence[str],
) -> None:
    """Evaluate a MODEL on an experiment's test rows, or saved SCORES against LABELS."""
    from tsad.workflows.evaluate import evaluate_model, evaluate_scores

    changes = changes_of(assignments, extra)
    if model and data and not scores and not labels:
        evaluate_model(model, data, changes, output)
    elif scores and labels and not model and not data and not changes:
        evaluate_scores(scores, labels, output)
    else:
        raise click.UsageError("give --model and --data, or --scores and --labels")


@click.command(context_settings=PLAIN)
@click.argument("model")
@click.argument("file", type=YAML)
@click.option("--output", type=YAML, help="Default: FILE with .scored before its ending.")
@click.option("--threshold", type=float, help="Flag scores above this instead of the detector's own threshold.")
@click.option("--explain", type=click.IntRange(0), help="Features that are named beside each score. Default: 3.")
@click.option("--events", type=YAML, help="CSV of the flagged stretches. Default: OUTPUT ending in .events.csv.")
@click.option("--time", help="Column of timestamps: they must ascend, and are named in the events.")
@click.option(
    "--step", type=click.FloatRange(0, min_open=True), help="Seconds between rows: after a gap it starts anew."
)
@overrides
@click.option("--rows-at-once", type=click.IntRange(1), default=10_000, show_default=True, help="In memory.")
def score(
    model: str,
    file: Path,
    output: Path | None,
    threshold: float | None,
    explain: int | None,
    events: Path | None,
    time: str | None,
    step: float | None,
    assignments: Sequence[str],
    rows_at_once: int,
) -> None:
    """Add the columns score and flag to FILE (csv or parquet, of any size), and which features explain them.

    FILE is read as the one that MODEL learned from; --set data.separator=";" and other settings of data say otherwise.
    """
    from tsad.workflows.score import score as command

    changes = changes_of(assignments, ()) | {
        f"data.{name}": value for name, value in (("time", time), ("step_seconds", step)) if value is not None
    }
    command(model, file, output, threshold, top=explain, events=events, changes=changes, rows_at_once=rows_at_once)


@click.command(context_settings=PLAIN)
@click.argument("file", type=YAML)
@click.option("--output", type=YAML, help="Default: FILE with the ending .png.")
@click.option("--model", help="Score the rows with it first; without one, FILE is as tsad score writes it.")
@click.option("--features", metavar="A,B,...", help="Columns to draw. Default: the few that explain most of the flags.")
@click.option("--rows", metavar="FIRST:LAST", help="Rows to draw, both included; either may be left out.")
def plot(file: Path, output: Path | None, model: str | None, features: str | None, rows: str | None) -> None:
    """Draw a scored FILE (csv or parquet, of any size) as PNG: features, score, flagged stretches red."""
    from tsad.workflows.plot import plot as command

    command(file, output, model, features, rows)
