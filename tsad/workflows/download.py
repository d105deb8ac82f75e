"""`tsad download`: a published data set into the data folder."""

from pathlib import Path

import click
from tqdm import tqdm

from tsad.data.sets.download import SETS, Name
from tsad.data.sets.download import download as fetched
from tsad.workflows.context import read_settings


def download(name: Name, origin: str | None, target: Path | None) -> None:
    """Downloads, checks and places a data set, and says where it is.

    Args:
        name: Which.
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
    click.echo(f"files: {folder / SETS[name].folder}")
    if target is not None:
        click.echo(f"look there with TSAD_DATA_DIR={target}")
