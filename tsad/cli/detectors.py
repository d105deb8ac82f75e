"""Commands that find and evaluate detectors, and score files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from tsad.cli.interrupts import resumable
from tsad.cli.options import (
    FILE,
    FOLDER,
    PASS_ON,
    PLAIN,
    ROWS,
    Auto,
    configure,
    extra_words,
    overrides,
    overrides_of,
    refuse,
)

NEWEST = "newest"
"""Value of `--resume` without a run."""


@click.command(context_settings=PASS_ON)
@click.argument("experiment", type=ROWS)
@overrides
@click.option("--each-entity", is_flag=True, help="Train a detector for each entity, in a run below one run.")
@click.option("--shared", is_flag=True, help="Of --each-entity: train one for unknown entities too.")
@click.option(
    "--one-model", is_flag=True, help="Of --each-entity: one model of all rows, a scaler and threshold for each."
)
@click.option("--reports", is_flag=True, help="Of --each-entity: compare each detector with the baselines.")
@click.option("--parallel", type=click.IntRange(1), help="Of --each-entity: entities side by side. Default: all cores.")
@click.option("--gpus", type=click.FloatRange(0), default=0, help="Of --each-entity: GPUs of each; fractions too.")
@click.option(
    "--resume", metavar="RUN_ID|auto|none", default="auto", show_default=True, help="Of --each-entity: run to resume."
)
@click.option("--backup", type=FOLDER, help="Folder for the state of the training; the same command resumes from it.")
@click.option(
    "--backup-every", type=click.IntRange(1), default=5, show_default=True, help="Epochs between two backups."
)
@click.option("--run-name", help="Name of the MLflow run.")
@extra_words
@click.pass_context
def train(
    context: click.Context,
    /,
    experiment: Path,
    assignments: Sequence[str],
    extra: Sequence[str],
    *,
    each_entity: bool,
    backup: Path | None,
    backup_every: int,
    run_name: str | None,
    parallel: int | None,
    gpus: float,
    **fleet_options: Any,
) -> None:
    """Train one EXPERIMENT.yaml, or the default detector on a file of rows, as one MLflow run.

    With --each-entity, a detector for each value of data.entity, file of a pattern, or machine of SMD.
    """
    from tsad.training.checkpoints import Backup

    changes, state = overrides_of(assignments, extra), None if backup is None else Backup(backup, backup_every)
    if each_entity:
        configure()
        _train_each_entity(
            experiment, changes, TaskLimits(parallel, gpus), {**fleet_options, "backup": state, "run_name": run_name}
        )
        return
    refuse(context, "of --each-entity", ("shared", "one_model", "reports", "parallel", "gpus", "resume"))
    import tsad.workflows.train as workflow
    from tsad.cli.progress import TrainProgress

    configure()
    with resumable(None if backup is None else ""), TrainProgress() as progress:
        text = str(workflow.train(experiment, changes, backup=state, run_name=run_name, on_event=progress))
    click.echo(text)


class TaskLimits(NamedTuple):
    """Number of tasks that run side by side, and GPUs of each."""

    parallel: int | None
    gpus: float


def _train_each_entity(
    experiment: Path, changes: Mapping[str, Any], limits: TaskLimits, fleet_options: Mapping[str, Any]
) -> None:
    import tsad.workflows.fleet as workflow
    from tsad.cli.progress import FleetProgress
    from tsad.errors import TrainingError
    from tsad.parallel import TaskOptions
    from tsad.workflows.fleet_training import FleetOptions

    options = FleetOptions(tasks=TaskOptions(limits.parallel, gpus=limits.gpus), **fleet_options)
    with resumable(""), FleetProgress("entity") as progress:
        result = workflow.train_each_entity(experiment, changes, options=options, on_event=progress)
    click.echo(str(result))
    if result.failures:
        name, cause = next(iter(result.failures.items()))
        raise TrainingError(f"{len(result.failures)} entities failed, first {name or 'the shared detector'}: {cause}")


@click.command(context_settings=PASS_ON)
@click.argument("space", type=FILE, required=False)
@overrides
@click.option("--trials", type=Auto(int), default="auto", help="Candidates to try.")
@click.option("--seconds", type=Auto(float), default="auto", help="Time limit.")
@click.option("--parallel", type=Auto(int), default="auto", help="Trials that run side by side.")
@click.option("--cpus", type=Auto(float), default="auto", help="Cores of a trial.")
@click.option("--gpus", type=Auto(float), default="auto", help="GPUs of a trial; fractions too.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value=NEWEST,
    metavar="[RUN_ID]",
    help="Resume the interrupted search of this run, or the newest such search; with RUN_ID, SPACE may be left out.",
)
@click.option("--run-name", help="Name of the MLflow run of the search.")
@extra_words
def search(
    space: Path | None,
    assignments: Sequence[str],
    extra: Sequence[str],
    *,
    resume: str | None,
    run_name: str | None,
    **options: float | None,
) -> None:
    """Search SPACE.yaml; the winner becomes models:/tsad@champion if it passes the gate."""
    import tsad.workflows.search as workflow
    from tsad.cli.progress import SearchProgress

    configure()
    if space is None and resume not in {None, NEWEST} and Path(str(resume)).is_file():
        space, resume = Path(str(resume)), NEWEST  # tsad search --resume SPACE.yaml
    if space is None and resume in {None, NEWEST}:
        raise click.UsageError("Missing argument 'SPACE'; give it, or --resume RUN_ID")
    limits = {f"search.{name}": value for name, value in options.items() if value is not None}
    with resumable("--resume"), SearchProgress() as progress:
        changes = overrides_of(assignments, extra) | limits
        result = workflow.search(
            space, changes, resume=resume == NEWEST or resume or False, run_name=run_name, on_event=progress
        )
    click.echo(f"\n{result}")


@click.command(context_settings=PASS_ON)
@click.option(
    "--model",
    help="models:/NAME@alias, models:/NAME/VERSION, runs:/ID/detector, or a saved detector's folder. Default: the "
    "champion; if there is none, the experiment is trained first.",
)
@click.option("--data", type=FILE, help="The EXPERIMENT.yaml whose data and split are used.")
@click.option("--scores", type=ROWS, help="T scores (.npy, or a table with the column score); NaN = no score.")
@click.option("--labels", type=ROWS, help="T labels, 0 or 1 (.npy, or a table with the column label).")
@click.option("--output", type=FOLDER, required=True, help="Folder for the results.")
@click.option("--run-name", help="Name of the MLflow run of the evaluation of a MODEL.")
@click.option("--no-run", is_flag=True, help="Log no MLflow run.")
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
    *,
    run_name: str | None,
    no_run: bool,
) -> None:
    """Evaluate a MODEL on an experiment's test rows, or saved SCORES against LABELS."""
    import tsad.workflows.evaluate as workflow
    from tsad.cli.progress import TrainProgress

    configure()
    changes = overrides_of(assignments, extra)
    if data and not scores and not labels:
        with TrainProgress() as progress:
            result = workflow.evaluate(
                model, data, changes, output=output, run_name=run_name, log_run=not no_run, on_event=progress
            )
    elif scores and labels and not (model or data or changes or run_name):
        result = workflow.evaluate_scores(scores, labels, output=output)
    else:
        raise click.UsageError("give --data and optionally --model, or --scores and --labels")
    for name, reason in result.assessment.report.undefined.items():
        click.echo(f"{name} is undefined: {reason}", err=True)
    click.echo(str(result))


@click.command(context_settings=PLAIN)
@click.argument("model")
@click.argument("files", type=ROWS, nargs=-1, required=True)
@click.option(
    "--output", type=click.Path(path_type=Path), help="Default: FILE with .scored before its ending; a folder."
)
@click.option("--threshold", type=float, help="Flag scores above this instead of the detector's own threshold.")
@click.option("--explain", type=click.IntRange(0), help="Number of features named with each score. Default: 3.")
@click.option("--events", type=FILE, help="CSV file of the events. Default: OUTPUT ending in .events.csv.")
@click.option("--time", help="Column of times: they must ascend, and are named in the events.")
@click.option(
    "--step", type=click.FloatRange(0, min_open=True), help="Seconds between rows: a larger gap begins a new segment."
)
@click.option("--entity", help="Column that says which machine a row belongs to.")
@click.option(
    "--parallel", type=click.IntRange(1), help="Files, or entities of one file, that are scored side by side."
)
@click.option("--resume", is_flag=True, help="Of several files: leave out those that were scored before.")
@overrides
@click.option("--rows-at-once", type=click.IntRange(1), default=10_000, show_default=True, help="Rows in memory.")
@click.pass_context
def score(
    context: click.Context,
    /,
    model: str,
    files: Sequence[Path],
    output: Path | None,
    events: Path | None,
    assignments: Sequence[str],
    parallel: int | None,
    *,
    resume: bool,
    **values: Any,
) -> None:
    """Add the columns score and flag to FILES, which may have any size, and which features explain them.

    They are read as those that MODEL was trained on; --set data.separator=";" and other settings of data change that. Several
    files, a pattern or a folder of files are scored side by side, into a folder.
    """
    import tsad.workflows.score as workflow
    from tsad.cli.progress import RowsProgress
    from tsad.parallel import TaskOptions
    from tsad.workflows.score_files import is_many

    configure()
    named = {"time": values.pop("time"), "step_seconds": values.pop("step"), "entity": values.pop("entity")}
    changes = overrides_of(assignments, ()) | {
        f"data.{name}": value for name, value in named.items() if value is not None
    }
    tasks = None if parallel is None else TaskOptions(parallel)
    if is_many(files):
        refuse(context, "of one file", ("events",))
        _score_files(model, files, output, {**values, "overrides": changes}, tasks, resume=resume)
        return
    refuse(context, "of several files", ("resume",))
    with RowsProgress() as progress:
        result = workflow.score(
            model, files[0], output=output, events=events, overrides=changes, tasks=tasks, on_event=progress, **values
        )
    click.echo(str(result))


def _score_files(
    model: str,
    files: Sequence[Path],
    output: Path | None,
    values: Mapping[str, Any],
    tasks: Any,
    *,
    resume: bool,
) -> None:
    import tsad.workflows.score_files as workflow
    from tsad.cli.progress import FleetProgress
    from tsad.errors import DataError

    data, options = files[0] if len(files) == 1 else files, workflow.FilesOptions(**values)
    with resumable("--resume"), FleetProgress("file") as progress:
        result = workflow.score_files(
            model, data, output=output, options=options, tasks=tasks, resume=resume, on_event=progress
        )
    click.echo(str(result))
    if result.failures:
        name, cause = next(iter(result.failures.items()))
        raise DataError(f"{len(result.failures)} files could not be scored, first {name}: {cause}")


@click.command(context_settings=PLAIN)
@click.argument("file", type=ROWS, required=False)
@click.option("--output", type=FILE, help="Default: FILE with the ending .png.")
@click.option("--model", help="Score the rows with it first; without one, FILE is as tsad score writes it.")
@click.option("--features", metavar="A,B,...", help="Columns to draw. Default: the few that explain most of the flags.")
@click.option("--rows", metavar="FIRST:LAST", help="Rows to draw, both included; either may be left out.")
@click.option("--history", type=FILE, help="Draw the losses of this history.json instead of a FILE.")
def plot(
    file: Path | None,
    output: Path | None,
    model: str | None,
    features: str | None,
    rows: str | None,
    history: Path | None,
) -> None:
    """Draw a scored FILE as PNG: features, score, flagged stretches red."""
    import tsad.workflows.plot as workflow
    from tsad.cli.progress import RowsProgress

    configure()
    if history is not None and not (file or model or features or rows):
        click.echo(str(workflow.plot_history(history, output=output)))
    elif file is not None and history is None:
        names = None if features is None else [name.strip() for name in features.split(",")]
        with RowsProgress() as progress:
            result = workflow.plot(file, output=output, model=model, features=names, rows=rows, on_event=progress)
        click.echo(str(result))
    else:
        raise click.UsageError("give a FILE, or --history history.json")
