"""SMD, the Server Machine Dataset (Su et al., KDD 2019): 28 machines, 38 features, one row a minute."""

import io
import logging
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, field_validator

from tsad.data.combine import average_rows, join
from tsad.data.dataset import DataSet, RootCause
from tsad.data.scale import StandardScalerSpec
from tsad.data.sets.publication import Publication
from tsad.data.sets.smd_published import BLOBS, blob_hash
from tsad.errors import DataError, shown
from tsad.series import Series, runs
from tsad.spec import Spec

_logger = logging.getLogger(__name__)

_FOLDER = "ServerMachineDataset"
_ARCHIVE = "OmniAnomaly-master"
PARTS = ("train", "test", "test_label", "interpretation_label")
"""Folders of the published data set, each with one file for every machine."""
_NAME = re.compile(r"\d+-\d+", re.ASCII)
FEATURES = tuple(f"f{column:02d}" for column in range(1, 39))
"""Names of the 38 columns; the published files have none. Column numbers start at 1, as in the interpretation labels."""


def _check_files(folder: Path) -> str:
    """Returns how the machines were checked: by the Git hashes of their published files, or by loading them."""
    machines = SmdSpec(kind="smd", machine="all").machines(folder.parent)
    for machine in machines:
        if machine not in BLOBS:
            SmdSpec(kind="smd", machine=machine).load(folder.parent)
            continue
        for part, published in zip(PARTS, BLOBS[machine], strict=True):
            path = folder / part / f"machine-{machine}.txt"
            digest = blob_hash(path.read_bytes()) if path.is_file() else "not there"
            if digest != published:
                raise DataError(
                    f"{part}/{path.name}: must be the published file (Git blob {published}), but is {digest}; download it again, "
                    f"or take another mirror"
                )
    if not machines:
        raise DataError(f"{folder.name}: holds no machine; take the published archive")
    hashed = [machine for machine in machines if machine in BLOBS]
    others = [machine for machine in machines if machine not in BLOBS]
    return "; ".join(
        f"{len(those)} machines {how}: {', '.join(those)}"
        for those, how in (
            (hashed, "are the published files by their hashes"),
            (others, "have the published layout (their hashes are not known)"),
        )
        if those
    )


class SmdSpec(Spec):
    """One machine of the Server Machine Dataset, or several machines for one detector.

    The rows of several machines follow each other with a boundary between them, and each machine is split in time by itself.
    One scaler is fitted on the training rows of all machines, unless `scale_each` is set.

    Attributes:
        machine: Group and number of a machine as in the file names, such as "1-2"; a list of them; or "all" in the folder.
        every: Number of rows, which are minutes, that are averaged into one; 1 keeps the published rows.
        scale_each: Whether each machine is scaled to mean 0 and deviation 1 of its own training rows, clipped at 50. A
            detector of such rows scores rows that were scaled likewise; set `scaler: {kind: none}` to scale them only once.
        publication: Where the data set is published and how its files are checked.
    """

    publication: ClassVar[Publication] = Publication(
        name="smd",
        title="Server Machine Dataset (Su et al., KDD 2019): 28 machines, 38 features, one row a minute",
        folder=_FOLDER,
        url="https://github.com/NetManAIOps/OmniAnomaly/archive/refs/heads/master.zip",
        page="https://github.com/NetManAIOps/OmniAnomaly",
        member=re.compile(rf"/((?:{'|'.join(PARTS)})/machine-\d+-\d+\.txt)$", re.ASCII),
        check=_check_files,
    )

    kind: Literal["smd"]
    machine: str | tuple[str, ...]
    every: int = Field(1, ge=1)
    scale_each: bool = False

    @field_validator("machine")
    @classmethod
    def _named(cls, machine: str | tuple[str, ...]) -> str | tuple[str, ...]:
        names = (machine,) if isinstance(machine, str) else machine
        wrong = [name for name in names if not _NAME.fullmatch(name)]
        if machine != "all" and (wrong or not names or len(set(names)) < len(names)):
            raise ValueError('must be a machine by group and number ("1-2"), a list of different ones, or "all"')
        return machine

    def machines(self, folder: Path) -> tuple[str, ...]:
        """Returns the names of the machines; for "all", of those in the data folder."""
        if self.machine == "all":
            return tuple(_machines(_open(folder)[1]))
        return (self.machine,) if isinstance(self.machine, str) else self.machine

    def sources(self, folder: Path) -> tuple[Path, ...]:
        """Returns the archive, or the files of the machines; raises `DataError` if neither exists."""
        root = _open(folder)[1]
        if root.is_file():
            return (root,)
        paths = [root / part / f"machine-{name}.txt" for name in self.machines(folder) for part in PARTS]
        return tuple(path for path in paths if path.is_file())

    def load(self, folder: Path) -> DataSet:
        """Returns the published training and test rows, and the root cause of each anomaly according to its labelers.

        All rows of a root cause are labeled. A line of `interpretation_label/` whose rows are not exactly one labeled segment
        is cut to those of its rows that are labeled; a line without such rows, one that cannot be read, and one that names a
        column that does not exist is left out. Each of these lines, and each labeled segment without a line, is logged as a
        warning and listed among the `defects`.

        Args:
            folder: Data folder with `ServerMachineDataset/`, `OmniAnomaly-master/ServerMachineDataset/`, or the published
                archive `OmniAnomaly-master.zip`; the first of these that exists is read.

        Raises:
            DataError: if files are missing, or differ from the published ones (columns, numbers, labels, lengths).
        """
        loaded = [average_rows(_machine(folder, name), self.every) for name in self.machines(folder)]
        if not loaded:
            raise DataError(f"{folder}: must hold machines of SMD, but holds none; see `tsad download smd --help`")
        data = join([_scaled(machine) for machine in loaded] if self.scale_each else loaded, "smd")
        return data if self.every == 1 else replace(data, name=f"{data.name}-every-{self.every}")


def _machine(folder: Path, machine: str) -> DataSet:
    read, root = _open(folder)
    name = f"machine-{machine}.txt"
    if read(f"train/{name}") is None:
        existing = ", ".join(_machines(root)) or "none"
        raise DataError(f"{root}: has no train/{name}; machines found there: {existing}")
    train = _rows(read(f"train/{name}"), f"{root}/train/{name}")
    test = _rows(read(f"test/{name}"), f"{root}/test/{name}")
    labels = _labels(read(f"test_label/{name}"), f"{root}/test_label/{name}", len(test))
    causes, defects = _causes(read(f"interpretation_label/{name}"), f"interpretation_label/{name}", labels)
    for defect in defects:
        _logger.warning("%s/%s", root, defect)
    return DataSet(
        name=f"smd-{machine}",
        source=str(root),
        train=Series(values=train, features=FEATURES),
        test=Series(values=test, features=FEATURES, labels=labels),
        continuous=True,  # the two halves of one segment
        root_causes=causes,
        step_seconds=60.0,
        defects=defects,
    )


def _scaled(data: DataSet) -> DataSet:
    scaler = StandardScalerSpec().fit(data.train)
    defect = (
        f"{data.name}: rows are scaled by mean and deviation of its own training rows, those of validation among them"
    )
    return replace(data, train=scaler.apply(data.train), test=scaler.apply(data.test), defects=(*data.defects, defect))


def _open(folder: Path) -> tuple[Callable[[str], bytes | None], Path]:
    """Returns a reader of the files in `ServerMachineDataset/` (None for a file that does not exist), and its path."""
    for root in (folder / _FOLDER, folder / _ARCHIVE / _FOLDER):
        if root.is_dir():
            return lambda name, root=root: (root / name).read_bytes() if (root / name).is_file() else None, root
    archive = folder / f"{_ARCHIVE}.zip"
    if not archive.is_file():
        raise DataError(
            f"SMD must lie in {folder} as {_FOLDER}/, {_ARCHIVE}/{_FOLDER}/ or {_ARCHIVE}.zip, but none of them is there; "
            f"set TSAD_DATA_DIR to the folder that holds one"
        )
    return lambda name: _from_archive(archive, name), archive


def _from_archive(archive: Path, name: str) -> bytes | None:
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.read(f"{_ARCHIVE}/{_FOLDER}/{name}")
    except KeyError:
        return None
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{archive}: must be a zip archive, but {error}; download it again") from None


def _machines(root: Path) -> list[str]:
    if root.is_dir():
        names = [path.name for path in (root / "train").glob("machine-*.txt")]
    else:
        with zipfile.ZipFile(root) as opened:
            names = [Path(name).name for name in opened.namelist() if "/train/machine-" in name]
    matches = [re.fullmatch(r"machine-(\d+)-(\d+)\.txt", name) for name in names]
    return [f"{group}-{number}" for group, number in sorted((int(it[1]), int(it[2])) for it in matches if it)]


def _rows(content: bytes | None, name: str) -> NDArray[np.float32]:
    table = _table(content, name)
    if table.shape[1] != len(FEATURES):
        raise DataError(f"{name}: SMD has {len(FEATURES)} columns, but this file has {table.shape[1]}")
    values: NDArray[np.float64] = table.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise DataError(
            f"{name}: every cell must be a finite number, but row {row}, column {column + 1} holds "
            f"{shown(table.iloc[row, column])}; take the published file"
        )
    return values.astype(np.float32)


def _labels(content: bytes | None, name: str, rows: int) -> NDArray[np.bool_]:
    table = _table(content, name)
    if table.shape != (rows, 1):
        raise DataError(f"{name}: must hold one label for each of the {rows} test rows, but has shape {table.shape}")
    values = table[0].to_numpy()
    wrong = ~np.isin(values, (0, 1))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{name}: every label must be 0 or 1, but row {row} holds {shown(values[row])}; take the published file"
        )
    return values.astype(bool)


def _causes(
    content: bytes | None, name: str, labels: NDArray[np.bool_]
) -> tuple[tuple[RootCause, ...], tuple[str, ...]]:
    """Returns the root causes in the order of the file, and a sentence for each fault of the file."""
    if content is None:
        return (), (f"{name}: no such file; the anomalies have no causes",)
    causes: list[RootCause] = []
    defects = []
    for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
        line_causes, defect = _cause(line, labels)
        causes += line_causes
        defects += [f"{name}: line {number}: {defect}"] if defect else []
    bare = [segment for segment in runs(labels) if not any(_overlap(segment, cause[:2]) for cause in causes)]
    if bare:
        defects.append(f"{name}: no line for the labeled rows {_shown(bare)}; they have no cause")
    return tuple(causes), tuple(defects)


_LINE = re.compile(r"\s*(\d{1,9})-(\d{1,9}):(\d{1,9}(?:,\d{1,9})*)\s*", re.ASCII)


def _cause(line: str, labels: NDArray[np.bool_]) -> tuple[list[RootCause], str]:
    """Returns the root causes of one line, several if its rows overlap several labeled segments, and its fault or ""."""
    match = _LINE.fullmatch(line)
    if match is None:
        return [], f"{shown(line)} is not rows and columns (first-end:column,column); left out"
    start, stop, columns = int(match[1]), int(match[2]), [int(column) for column in match[3].split(",")]
    foreign = [column for column in columns if not 1 <= column <= len(FEATURES)]
    if foreign:
        return [], f"columns must be 1 to {len(FEATURES)}, but are {foreign}; left out"
    segments = [segment for segment in runs(labels) if _overlap(segment, (start, stop))]
    if not segments:
        return [], f"none of its rows {start}-{stop} (end exclusive) is labeled; left out"
    labeled = [(max(start, first), min(stop, end)) for first, end in segments]
    causes = [RootCause(*rows, tuple(FEATURES[column - 1] for column in columns)) for rows in labeled]
    if segments == [(start, stop)]:
        return causes, ""
    differ = f"its rows {start}-{stop} (end exclusive) are not the labeled {_shown(segments)}"
    return causes, f"{differ}; {_shown(labeled)} kept"


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return max(one[0], other[0]) < min(one[1], other[1])


def _shown(stretches: list[tuple[int, int]]) -> str:
    return ", ".join(f"{start}-{stop}" for start, stop in stretches)


def _table(content: bytes | None, name: str) -> pd.DataFrame:
    if content is None:
        raise DataError(f"{name}: no such file; the published set has train/, test/ and test_label/ for every machine")
    try:
        return pd.read_csv(io.BytesIO(content), header=None)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: cannot be read as comma separated numbers ({error})") from None
