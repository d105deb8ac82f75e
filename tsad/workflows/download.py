"""Download of a published data set into the data folder."""

from dataclasses import dataclass
from pathlib import Path

from tsad.data.sets.download import download as download_files
from tsad.data.sets.published import PUBLICATIONS
from tsad.workflows.context import read_settings
from tsad.workflows.events import OnEvent, RowsRead, ignore


@dataclass(frozen=True)
class DownloadResult:
    """Result of a download. `str()` is what the command line prints.

    Attributes:
        summary: What was checked of the files.
        folder: Folder that holds the files.
        data_dir: Data folder, if it is not the one of the settings; None otherwise.
    """

    summary: str
    folder: Path
    data_dir: Path | None

    def __str__(self) -> str:
        hint = "" if self.data_dir is None else f"\nuse these files with TSAD_DATA_DIR={self.data_dir}"
        return f"{self.summary}\nfiles: {self.folder}{hint}"


def download(
    name: str, origin: str | Path | None = None, target: str | Path | None = None, on_event: OnEvent = ignore
) -> DownloadResult:
    """Downloads a published data set, checks its files, and moves them into the data folder.

    Args:
        name: Name of the data set, a key of `PUBLICATIONS`.
        origin: Archive, folder or address to take the files from; by default the address where they are published.
        target: Data folder; by default that of the settings.
        on_event: Callback for progress.

    Raises:
        DataError: if the origin does not hold the files as they were published, or the folder cannot be written.
    """
    folder = read_settings().data_dir if target is None else Path(target)

    def progress(what: str, done: int, total: int | None) -> None:
        on_event(RowsRead(f"{name}: {what}", done, total, "B"))

    summary = download_files(name, None if origin is None else str(origin), folder, progress)
    return DownloadResult(summary, folder / PUBLICATIONS[name].folder, None if target is None else folder)
