"""`tsad download`: a published data set into the data folder."""

from pathlib import Path

import click
from tqdm import tqdm

from tsad.data.sets.download import download as fetched
from tsad.data.sets.published import PUBLICATIONS
from tsad.workflows.context import read_settings


def download(name: str, origin: str | None, target: Path | None) -> None:
    """Downloads, checks and places a data set, and says where it is.

    Args:
        name: Name of a data set in `PUBLICATIONS`.
        origin: Archive, folder or address to take it from; where it is published if None.
        target: Data folder; `TSAD_DATA_DIR` if None.
    """
    folder = target or read_settings().data_dir
    with tqdm(unit="B", unit_scale=True, desc=name, disable=None) as bar:

        def progress(what: str, done: int, total: int | None) -> None:
            bar.set_description(f"{name}: {what}", refresh=False)
            bar.total = total
            bar.update(done - bar.n)

        found = fetched(name, origin, folder, progress)
    click.echo(found)
    click.echo(f"files: {folder / PUBLICATIONS[name].folder}")
    if target is not None:
        click.echo(f"look there with TSAD_DATA_DIR={target}")
