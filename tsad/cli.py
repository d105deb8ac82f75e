"""The command line. Each verb imports what it needs when it runs, so that `--help` answers at once."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

_PASS_ON = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}
_YAML = click.Path(path_type=Path, dir_okay=False)


class _Auto(click.ParamType[int | float | None]):
    """A number, or `auto` for what the file says."""

    def __init__(self, kind: type[int] | type[float]) -> None:
        self._kind = kind
        self.name = f"{'whole ' if kind is int else ''}number|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float | None:
        if value == "auto":
            return None
        try:
            return self._kind(value)
        except ValueError:
            self.fail(f"must be {self.name}, but got {value!r}", param, ctx)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tsad")
def cli() -> None:
    """Find, prove and serve anomaly detectors for multivariate time series."""


_overrides = click.option("--set", "assignments", multiple=True, metavar="A.B.C=VALUE", help="Put a value at a path.")
_extra = click.argument("extra", nargs=-1, type=click.UNPROCESSED, metavar="[--A.B.C VALUE ...]")


@cli.command(context_settings=_PASS_ON)
@click.argument("experiment", type=_YAML)
@_overrides
@_extra
def train(experiment: Path, assignments: Sequence[str], extra: Sequence[str]) -> None:
    """Train one EXPERIMENT.yaml as one MLflow run."""
    from tsad.commands.train import train as command

    command(experiment, _changes(assignments, extra))


@cli.command(context_settings=_PASS_ON)
@click.argument("space", type=_YAML)
@_overrides
@click.option("--trials", type=_Auto(int), default="auto", help="Candidates to try.")
@click.option("--seconds", type=_Auto(float), default="auto", help="End after this long.")
@click.option("--parallel", type=_Auto(int), default="auto", help="Trials that run side by side.")
@click.option("--cpus", type=_Auto(float), default="auto", help="Cores of a trial.")
@click.option("--gpus", type=_Auto(float), default="auto", help="GPUs of a trial; fractions too.")
@click.option("--resume", is_flag=True, help="Go on with the newest such search that did not come to its end.")
@_extra
def search(
    space: Path, assignments: Sequence[str], extra: Sequence[str], *, resume: bool, **options: float | None
) -> None:
    """Search SPACE.yaml; the winner becomes models:/tsad@champion."""
    from tsad.commands.search import search as command

    given = {f"search.{name}": value for name, value in options.items() if value is not None}
    command(space, _changes(assignments, extra) | given, resume=resume)


@cli.command(context_settings=_PASS_ON)
@click.option(
    "--model", help="models:/NAME@alias, models:/NAME/VERSION, runs:/ID/detector, or a saved detector's folder."
)
@click.option("--data", type=_YAML, help="The EXPERIMENT.yaml whose data and split are used.")
@click.option("--scores", type=_YAML, help="Array of T scores (.npy); NaN = no score.")
@click.option("--labels", type=_YAML, help="Array of T labels (.npy), 0 or 1.")
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the results."
)
@_overrides
@_extra
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
    from tsad.commands.evaluate import evaluate_model, evaluate_scores

    changes = _changes(assignments, extra)
    if model and data and not scores and not labels:
        evaluate_model(model, data, changes, output)
    elif scores and labels and not model and not data and not changes:
        evaluate_scores(scores, labels, output)
    else:
        raise click.UsageError("give --model and --data, or --scores and --labels")


@cli.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model")
@click.argument("file", type=_YAML)
@click.option("--output", type=_YAML, help="Default: FILE with .scored before its ending.")
@click.option("--threshold", type=float, help="Flag scores above this instead of the detector's own level.")
def score(model: str, file: Path, output: Path | None, threshold: float | None) -> None:
    """Add the columns score and flag to FILE (csv or parquet)."""
    from tsad.commands.score import score as command

    command(model, file, output, threshold)


def _changes(assignments: Sequence[str], extra: Sequence[str]) -> dict[str, Any]:
    """Returns overrides by path from `--set a.b=1`, and from `--a.b 1`, the form that `mlflow run -P a.b=1` passes on."""
    from tsad.experiment import Experiment
    from tsad.spec import parse_overrides

    words = list(extra)
    texts = list(assignments)
    while words:
        name, equals, value = words.pop(0).partition("=")
        path = name.removeprefix("--")
        if not name.startswith("--") or ("." not in path and path not in Experiment.model_fields):
            raise click.UsageError(
                f"no such option: {name}; a value of the file is set by its path, as --set training.epochs=5"
            )
        if not equals and not words:
            raise click.UsageError(f"{name} needs a value")
        texts.append(f"{path}={value if equals else words.pop(0)}")
    return parse_overrides(texts)


def main() -> None:
    """Runs a verb; exits 0 when done, 1 with one line when something is wrong with what it was given, 2 on wrong usage."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:  # the one place where everything ends: one line for the user, the rest for the log file
        logging.getLogger("tsad").debug("%s failed", " ".join(sys.argv[1:]), exc_info=True)
        click.echo(f"{type(error).__name__}: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
