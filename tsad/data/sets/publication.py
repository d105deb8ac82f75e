"""Description of a published data set for `tsad download`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Publication:
    """Address of a published data set, and the files that belong to it.

    Attributes:
        name: Name of the data set in `tsad download NAME` and in `data: {kind: NAME}`.
        title: Full name with the paper that introduced it, for documentation.
        folder: Name of its folder in the data folder.
        url: Address of its archive; None if it is given out through a form.
        page: Address of the page that describes it.
        member: Pattern that fits the end of the paths of its files, wherever they lie in an archive or a folder; the first
            group is the path below `folder`.
        check: Takes the folder with the files and returns a sentence about how they were checked; raises `DataError` if
            one is wrong.
    """

    name: str
    title: str
    folder: str
    url: str | None
    page: str
    member: re.Pattern[str]
    check: Callable[[Path], str]
