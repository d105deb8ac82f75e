"""`tsad cache`: what is kept of data that was loaded before."""

import time

import click

from tsad.workflows.context import open_cache, read_settings


def show() -> None:
    """Prints each file of the cache with its size and when it was last used, the oldest first, and the sum."""
    cache = open_cache(read_settings())
    entries = cache.entries()
    for path, stat in entries:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(stat.st_mtime))
        click.echo(f"{stat.st_size / 1e6:10.1f} MB  {used}  {path.name}")
    total = sum(stat.st_size for _, stat in entries)
    click.echo(f"{len(entries)} files, {total / 1e6:.1f} of {cache.size / 1e6:.0f} MB: {cache.folder}")


def clear() -> None:
    """Removes all of them."""
    cache = open_cache(read_settings())
    files, size = cache.clear()
    click.echo(f"removed {files} files, {size / 1e6:.1f} MB: {cache.folder}")
