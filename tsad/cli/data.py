"""Commands about data."""

import shlex
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from tsad.cli.options import FILE, FOLDER, PASS_ON, PLAIN, ROWS, NameIn, configure, extra_words, overrides, overrides_of


def published_names() -> Iterable[str]:
    """Returns the names of the published data sets."""
    from tsad.data.sets.published import PUBLICATIONS

    return PUBLICATIONS


@click.group(context_settings=PLAIN)
def data() -> None:
    """Check data before training on it."""


@data.command("check", context_settings=PASS_ON)
@click.argument("file", type=ROWS)
@overrides
@click.option("--output", type=FILE, help="The data card as JSON.")
@click.option("--experiment", type=FILE, help="An EXPERIMENT.yaml that runs on FILE.")
@click.option("--fix", is_flag=True, help="Write an experiment with the settings that fix FILE, called like FILE.")
@click.option("--space", type=FILE, help="A SPACE.yaml that searches on FILE.")
@extra_words
def data_check(
    file: Path,
    assignments: Sequence[str],
    output: Path | None,
    experiment: Path | None,
    space: Path | None,
    extra: Sequence[str],
    *,
    fix: bool,
) -> None:
    """Show what is in FILE, what is wrong with it, and which --set data.NAME=VALUE fixes it."""
    import tsad.workflows.check as workflow
    from tsad.data.io.containers.kinds import table_name

    result = workflow.check(file, overrides_of(assignments, extra))
    proposed = f"{table_name(file)}.yaml"
    if fix and experiment is None:
        experiment = Path(proposed)
    click.echo(str(result))
    if result.experiment is not None and experiment is None:
        train = shlex.join(["tsad", "train", proposed])
        write = f"{result.command} --experiment {shlex.quote(proposed)}"
        commands = f", which these commands write and train:\n  {write}\n  {train}" if result.error is None else ":"
        click.echo(f"An experiment on it{commands}\n\n{workflow.as_yaml(result.experiment, train)}")
    result.write(experiment=experiment, space=space if result.data is not None else None)
    if result.experiment is not None and experiment is not None:
        click.echo(f"experiment: {experiment}  ({shlex.join(['tsad', 'train', str(experiment)])})")
    if result.data is not None and space is not None:
        click.echo(f"space: {space}  ({shlex.join(['tsad', 'search', str(space)])})")
    if result.error is not None and (not fix or result.experiment is None):
        raise result.error
    if output is not None and result.card is not None:
        output.write_text(result.card.model_dump_json(indent=2), encoding="utf-8")
        click.echo(f"card: {output}")


@click.command(context_settings=PLAIN)
@click.argument("generator", type=click.Choice(["sensors", "five", "anomaly_types"]), default="sensors")
@click.option("--num-samples", type=int, help="Number of rows.")
@click.option("--num-features", type=int, help="Number of sensors; for sensors and anomaly_types.")
@click.option("--seed", type=int, help="Default: 0.")
@click.option("--noise", type=float, help="Standard deviation of the noise.")
@click.option("--anomaly-start", type=int, help="First anomalous row; of sensors.")
@click.option("--anomaly-length", type=int, help="Anomalous rows; of sensors.")
@click.option("--anomaly-magnitude", type=float, help="In standard deviations of a sensor; of sensors.")
@click.option("--anomaly-ratio", type=float, help="Fraction of anomalous rows; for five and anomaly_types.")
@click.option("--anomaly-types", metavar="A,B,...", help="Such as point,trend; of anomaly_types. Default: all.")
@click.option("--period", type=int, help="Rows of a season; of five.")
@click.option("--output-path", type=FILE, default="synthetic.csv", show_default=True, help="CSV file of the rows.")
@click.option(
    "--labels-path", type=FILE, help="Label and anomaly type of each row. Default: OUTPUT ending in .labels.csv."
)
@click.option("--train-path", type=FILE, help="CSV file of as many clean rows that come before.")
def generate(
    generator: str, output_path: Path, labels_path: Path | None, train_path: Path | None, **options: str | float | None
) -> None:
    """Write a synthetic series with labeled anomalies as CSV."""
    from tsad.workflows.generate import generate_dataset

    values: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if isinstance(anomaly_types := values.get("anomaly_types"), str):
        values["anomaly_types"] = anomaly_types.split(",")
    click.echo(str(generate_dataset(generator, values, output=output_path, labels=labels_path, train=train_path)))


@click.command(context_settings=PLAIN)
@click.argument("name", type=NameIn(published_names))
@click.option("--from", "origin", help="Archive (.zip), folder, or address to take it from.")
@click.option("--to", "target", type=FOLDER, help="Default: TSAD_DATA_DIR.")
def download(name: str, origin: str | None, target: Path | None) -> None:
    """Download a published data set, such as smd, into the data folder and check its files."""
    from tsad.cli.progress import RowsProgress
    from tsad.workflows.download import download as workflow

    configure()
    with RowsProgress() as progress:
        result = workflow(name, origin, target, on_event=progress)
    click.echo(str(result))


@click.group(context_settings=PLAIN)
def cache() -> None:
    """Show or clear the cache of loaded data."""


@cache.command("show")
def cache_show() -> None:
    """List the files of the cache, the least recently used first."""
    from tsad.workflows.cache import open_cache

    configure()
    data_cache = open_cache()
    entries = data_cache.entries()
    for path, stat in entries:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(stat.st_mtime))
        click.echo(f"{stat.st_size / 1e6:10.1f} MB  {used}  {path.name}")
    total = sum(stat.st_size for _, stat in entries)
    click.echo(f"{len(entries)} files, {total / 1e6:.1f} of {data_cache.size / 1e6:.0f} MB: {data_cache.folder}")


@cache.command("clear")
def cache_clear() -> None:
    """Remove all files of the cache."""
    from tsad.workflows.cache import open_cache

    configure()
    data_cache = open_cache()
    files, size = data_cache.clear()
    click.echo(f"removed {files} files, {size / 1e6:.1f} MB: {data_cache.folder}")
