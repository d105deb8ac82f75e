"""Verbs about data."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from tsad.cli.options import FOLDER, PASS_ON, PLAIN, YAML, NameIn, changes_of, extra_words, overrides


def published_names() -> Iterable[str]:
    """Returns the names of the published data sets."""
    from tsad.data.sets.published import PUBLICATIONS

    return PUBLICATIONS


@click.group(context_settings=PLAIN)
def data() -> None:
    """Look at data before anything learns from it."""


@data.command("check", context_settings=PASS_ON)
@click.argument("file", type=YAML)
@overrides
@click.option("--output", type=YAML, help="The data card as JSON.")
@click.option("--experiment", type=YAML, help="An EXPERIMENT.yaml that runs on FILE.")
@click.option("--space", type=YAML, help="A SPACE.yaml that searches on FILE.")
@extra_words
def data_check(
    file: Path,
    assignments: Sequence[str],
    output: Path | None,
    experiment: Path | None,
    space: Path | None,
    extra: Sequence[str],
) -> None:
    """Tell what is in FILE (csv or parquet), what is wrong with it, and which --set data.NAME=VALUE mends it."""
    from tsad.workflows.check import Wanted
    from tsad.workflows.check import check as command

    command(file, changes_of(assignments, extra), Wanted(output, experiment, space))


@click.command(context_settings=PLAIN)
@click.argument("generator", type=click.Choice(["sensors", "five", "anomaly_types"]), default="sensors")
@click.option("--num-samples", type=int, help="Rows.")
@click.option("--num-features", type=int, help="Sensors; of sensors and anomaly_types.")
@click.option("--seed", type=int, help="Default: 0.")
@click.option("--noise", type=float, help="Standard deviation of the noise.")
@click.option("--anomaly-start", type=int, help="First anomalous row; of sensors.")
@click.option("--anomaly-length", type=int, help="Anomalous rows; of sensors.")
@click.option("--anomaly-magnitude", type=float, help="In standard deviations of a sensor; of sensors.")
@click.option("--anomaly-ratio", type=float, help="Share of anomalous rows; of five and anomaly_types.")
@click.option("--anomaly-types", metavar="A,B,...", help="Such as point,trend; of anomaly_types. Default: all.")
@click.option("--period", type=int, help="Rows of a season; of five.")
@click.option("--output-path", type=YAML, default="synthetic.csv", show_default=True, help="The rows.")
@click.option(
    "--labels-path", type=YAML, help="Label and anomaly type of each row. Default: OUTPUT ending in .labels.csv."
)
@click.option("--train-path", type=YAML, help="As many clean rows from before them.")
def generate(
    generator: str, output_path: Path, labels_path: Path | None, train_path: Path | None, **options: str | float | None
) -> None:
    """Write a synthetic series with labeled anomalies as CSV."""
    from tsad.workflows.generate import generate as command

    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if isinstance(anomaly_types := given.get("anomaly_types"), str):
        given["anomaly_types"] = anomaly_types.split(",")
    command(generator, given, output_path, labels_path, train_path)


@click.command(context_settings=PLAIN)
@click.argument("name", type=NameIn(published_names))
@click.option("--from", "origin", help="Archive (.zip), folder, or address to take it from.")
@click.option("--to", "target", type=FOLDER, help="Default: TSAD_DATA_DIR.")
def download(name: str, origin: str | None, target: Path | None) -> None:
    """Download a published data set, such as smd, into the data folder and check its files."""
    from tsad.workflows.download import download as command

    command(name, origin, target)


@click.group(context_settings=PLAIN)
def cache() -> None:
    """Look at the data that is kept because it was loaded before, or remove it."""


@cache.command("show")
def cache_show() -> None:
    """List the files of the cache, those not used for longest first."""
    from tsad.workflows.cache import show

    show()


@cache.command("clear")
def cache_clear() -> None:
    """Remove them all."""
    from tsad.workflows.cache import clear

    clear()
