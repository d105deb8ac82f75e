"""The command line. Each verb imports what it needs when it runs, so that `--help` answers at once."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

_PASS_ON = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}
_YAML = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


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
@click.option("--each-machine", is_flag=True, help="One detector for each of data.machine, in a run below one run.")
@_extra
def train(experiment: Path, assignments: Sequence[str], extra: Sequence[str], *, each_machine: bool) -> None:
    """Train one EXPERIMENT.yaml as one MLflow run."""
    from tsad.commands.train import train as command

    command(experiment, _changes(assignments, extra), each_machine=each_machine)


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
    """Search SPACE.yaml; the winner becomes models:/tsad@champion if it passes the gate."""
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
@click.option("--explain", type=click.IntRange(0), help="Features that are named beside each score. Default: 3.")
@click.option("--events", type=_YAML, help="CSV of the flagged stretches. Default: OUTPUT ending in .events.csv.")
@click.option("--time", help="Column of timestamps: they must ascend, and are named in the events.")
@click.option(
    "--step", type=click.FloatRange(0, min_open=True), help="Seconds between rows: after a gap it starts anew."
)
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
    rows_at_once: int,
) -> None:
    """Add the columns score and flag to FILE (csv or parquet, of any size), and which features explain them."""
    from tsad.commands.score import Reading
    from tsad.commands.score import score as command

    if step is not None and time is None:
        raise click.UsageError("--step says how far apart rows are in time; give --time COLUMN too")
    reading = Reading(time, step, rows_at_once)
    command(model, file, output, threshold, top=explain, events=events, reading=reading)


@cli.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=_YAML)
@click.option("--output", type=_YAML, help="Default: FILE with the ending .png.")
@click.option("--model", help="Score the rows with it first; without one, FILE is as tsad score writes it.")
@click.option("--features", metavar="A,B,...", help="Columns to draw. Default: the few that explain most of the flags.")
@click.option("--rows", metavar="FIRST:LAST", help="Rows to draw, both included; either may be left out.")
def plot(file: Path, output: Path | None, model: str | None, features: str | None, rows: str | None) -> None:
    """Draw a scored FILE (csv or parquet, of any size) as PNG: features, score, flagged stretches red."""
    from tsad.commands.plot import plot as command

    command(file, output, model, features, rows)


@cli.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", default="models:/tsad@champion")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=5001, show_default=True, help="0 takes a free one.")
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="NAME", help="A name it may be called by, beside localhost."
)
@click.option("--token", envvar="TSAD_TOKEN", help="That each request must bear; better given as TSAD_TOKEN.")
@click.option("--state", type=click.Path(path_type=Path, file_okay=False), help="Folder for what survives a restart.")
@click.option("--wait", type=click.FloatRange(0), default=120, show_default=True, help="Seconds /train_predict waits.")
@click.option("--max-bytes", type=click.IntRange(1), default=16_000_000, show_default=True, help="Of a request's body.")
@click.option("--max-rows", type=click.IntRange(1), default=100_000, show_default=True, help="Of a request.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Requests scored side by side.")
@click.option("--job-seconds", type=click.FloatRange(1), default=3600, show_default=True, help="Of a search.")
def serve(model: str, **options: Any) -> None:
    """Serve MODEL over HTTP: MLflow's endpoints, scores, streams, small searches, a page."""
    from tsad.commands.serve import Options
    from tsad.commands.serve import serve as command

    command(model, Options(**options))


@cli.command(context_settings=_PASS_ON)
@click.argument("model", required=False)
@click.option("--data", type=_YAML, help="The EXPERIMENT.yaml whose rows MODEL and the champion are compared on.")
@click.option("--metric", help="Of labelled rows; the default is ranking/pr_auc.")
@click.option("--margin", type=float, help="That MODEL must be above the champion by; the default is 0.02.")
@click.option("--force", is_flag=True, help="Promote without a comparison.")
@click.option("--undo", is_flag=True, help="Make the champion before this one champion again.")
@click.option("--name", default="tsad", show_default=True, help="Registered model, for --undo.")
@_overrides
@_extra
def promote(
    model: str | None,
    data: Path | None,
    assignments: Sequence[str],
    extra: Sequence[str],
    *,
    force: bool,
    undo: bool,
    name: str,
    **gate: str | float | None,
) -> None:
    """Make MODEL (models:/NAME/VERSION) champion if it beats the present one."""
    from tsad.commands.promote import promote as command
    from tsad.commands.promote import undo_promotion

    changes = _changes(assignments, extra)
    asked = {key: value for key, value in gate.items() if value is not None}
    if undo and not (model or data or force or asked or changes):
        undo_promotion(name)
    elif model and not undo and force != bool(data) and not (force and (asked or changes)):
        command(model, data, changes, asked)
    else:
        raise click.UsageError("give MODEL and --data, MODEL and --force, or --undo")


@cli.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model")
@click.argument("file", type=_YAML)
@click.option("--output", type=_FOLDER, help="Folder for drift.json and drift.png.")
@click.option("--reference", type=_YAML, help="Normal rows to compare with, instead of what MODEL learned from.")
@click.option("--fail", is_flag=True, help="Exit with 1 if anything has moved.")
def drift(model: str, file: Path, output: Path | None, reference: Path | None, *, fail: bool) -> None:
    """Compare the rows of FILE (csv or parquet) with those that MODEL learned from."""
    from tsad.commands.drift import drift as command

    command(model, file, output, reference, fail=fail)


@cli.command(context_settings=_PASS_ON)
@click.argument("model")
@click.argument("file", type=_YAML)
@click.option("--output", type=_FOLDER, required=True, help="New folder for the detector.")
@click.option("--method", help="Kind of the new threshold, such as percentile or mad. Default: as it was.")
@click.option(
    "--update", "keep", is_flag=True, help="Take the scores in beside the old ones, which are else forgotten."
)
@_overrides
@_extra
def recalibrate(
    model: str,
    file: Path,
    output: Path,
    method: str | None,
    assignments: Sequence[str],
    extra: Sequence[str],
    *,
    keep: bool,
) -> None:
    """Fit MODEL's threshold to the scores of FILE, whose rows are mostly normal; no label is read."""
    from tsad.commands.recalibrate import recalibrate as command

    changes = _changes(assignments, extra) | ({"threshold.kind": method} if method else {})
    if keep and changes:
        raise click.UsageError("--update keeps the rule of the threshold; leave out --method and --set, or --update")
    command(model, file, output, changes, keep=keep)


@cli.group(context_settings={"help_option_names": ["-h", "--help"]})
def data() -> None:
    """Look at data before anything learns from it."""


@data.command("check", context_settings=_PASS_ON)
@click.argument("file", type=_YAML)
@_overrides
@click.option("--output", type=_YAML, help="The data card as JSON.")
@click.option("--experiment", type=_YAML, help="An EXPERIMENT.yaml that runs on FILE.")
@_extra
def data_check(
    file: Path, assignments: Sequence[str], output: Path | None, experiment: Path | None, extra: Sequence[str]
) -> None:
    """Tell what is in FILE (csv or parquet), what is wrong with it, and which --set data.NAME=VALUE mends it."""
    from tsad.commands.check import check as command

    command(file, _changes(assignments, extra), output, experiment)


@cli.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("generator", type=click.Choice(["sensors", "five", "kinds"]), default="sensors")
@click.option("--num-samples", type=int, help="Rows.")
@click.option("--num-features", type=int, help="Sensors; of sensors and kinds.")
@click.option("--seed", type=int, help="Default: 0.")
@click.option("--noise", type=float, help="Standard deviation of the noise.")
@click.option("--anomaly-start", type=int, help="First anomalous row; of sensors.")
@click.option("--anomaly-length", type=int, help="Anomalous rows; of sensors.")
@click.option("--anomaly-magnitude", type=float, help="In standard deviations of a sensor; of sensors.")
@click.option("--anomaly-ratio", type=float, help="Share of anomalous rows; of five and kinds.")
@click.option("--anomaly-kinds", metavar="A,B,...", help="Such as point,trend; of kinds. Default: all.")
@click.option("--period", type=int, help="Rows of a season; of five.")
@click.option("--output-path", type=_YAML, default="synthetic.csv", show_default=True, help="The rows.")
@click.option("--labels-path", type=_YAML, help="Label and kind of each. Default: OUTPUT ending in .labels.csv.")
@click.option("--train-path", type=_YAML, help="As many clean rows from before them.")
def generate(
    generator: str, output_path: Path, labels_path: Path | None, train_path: Path | None, **options: str | float | None
) -> None:
    """Write a synthetic series with labelled anomalies as CSV."""
    from tsad.commands.generate import generate as command

    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if isinstance(kinds := given.get("anomaly_kinds"), str):
        given["anomaly_kinds"] = kinds.split(",")
    command(generator, given, output_path, labels_path, train_path)


@cli.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", type=click.Choice(["smd", "cicddos2019"]))
@click.option("--from", "origin", help="Archive (.zip), folder, or address to take it from.")
@click.option("--to", "target", type=click.Path(path_type=Path, file_okay=False), help="Default: TSAD_DATA_DIR.")
def download(name: Literal["smd", "cicddos2019"], origin: str | None, target: Path | None) -> None:
    """Bring a published data set into the data folder, checked."""
    from tsad.commands.download import download as command

    command(name, origin, target)


@cli.group(context_settings={"help_option_names": ["-h", "--help"]})
def cache() -> None:
    """Look at the data that is kept because it was loaded before, or remove it."""


@cache.command("show")
def cache_show() -> None:
    """List the files of the cache, those not used for longest first."""
    from tsad.commands.cache import show

    show()


@cache.command("clear")
def cache_clear() -> None:
    """Remove them all."""
    from tsad.commands.cache import clear

    clear()


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
