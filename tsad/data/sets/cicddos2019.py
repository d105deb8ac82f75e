"""CIC-DDoS2019 (Sharafaldin et al., ICCST 2019): flows of two days with named attacks, in time bins or one by one."""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tsad.data.dataset import DataSet, TypedEvent
from tsad.data.sets.flow_bins import FlowBins, FlowRows, flow_rows
from tsad.data.sets.flows import BENIGN, NUMERIC, Flows, read_flows, read_header
from tsad.data.sets.publication import Publication
from tsad.errors import DataError, shown
from tsad.series import Series, runs
from tsad.spec import Spec

_logger = logging.getLogger(__name__)

FOLDER = "cicddos2019"
_SUMS = (
    *("Total Fwd Packets", "Total Backward Packets", "Total Length of Fwd Packets", "Total Length of Bwd Packets"),
    *("Fwd Header Length", "Bwd Header Length", "SYN Flag Count", "ACK Flag Count", "RST Flag Count", "Inbound"),
)
_MEANS = (
    *("Flow Duration", "Flow Packets/s", "Flow IAT Mean", "Packet Length Mean", "Packet Length Std", "Down/Up Ratio"),
    "Init_Win_bytes_forward",
)


def _check_files(folder: Path) -> str:
    """Returns the names of the files; raises `DataError` unless all of them have the published columns."""
    paths: Sequence[Path] = sorted(folder.rglob("*.csv"))
    for path in paths:
        with path.open("rb") as file:
            read_header(file, path.relative_to(folder))
    names = ", ".join(path.relative_to(folder).as_posix() for path in paths)
    return f"{len(paths)} files have the published columns (no hashes are published): {names}"


class CicDdos2019Spec(Spec):
    """Flows of the published CSV files of CIC-DDoS2019, in time bins or one by one.

    Files are named by their path below `cicddos2019/` in the data folder: a file, a folder, or a pattern such as
    `03-11/*.csv`. Training and test rows come either from different files, or from the same files split in time. The authors
    train on their second day (1 December) and test on the first (3 November): `train_files: 01-12`, `test_files: 03-11`.

    Attributes:
        files: One name of files or a list of names; null reads all CSV files.
        train_files: Files of the training rows, in place of `files`; needs `test_files`.
        test_files: Files of the test rows; needs `train_files`.
        test_ratio: Fraction of the rows, the last ones, that become test rows if no `test_files` are named.
        level: `bin`: a row is a time bin. `flow`: a row is a flow, in the order of time (memory grows with the flows).
        bin_seconds: Length of a time bin in seconds, 0.001 to 86,400. An attack lasts minutes, so a window of a few dozen bins
            of one second lies well inside it, and a day has about 25,000 bins, as many as a machine of SMD has rows.
        silence_seconds: Longest time without flows that becomes bins of zeros; a longer one is a boundary, because a silent
            network cannot be told from one that was not recorded.
        train: `benign` leaves out training rows with an attack, with a boundary in their place; `all` uses them too.
        sums: Columns that are summed over a bin.
        means: Columns that are averaged over a bin.
        publication: Where the data set is published and how its files are checked.
    """

    publication: ClassVar[Publication] = Publication(
        name="cicddos2019",
        title="CIC-DDoS2019 (Sharafaldin et al., ICCST 2019): network flows of two days, with attacks by name",
        folder=FOLDER,
        url=None,
        page="https://www.unb.ca/cic/datasets/ddos-2019.html",
        member=re.compile(r"/((?:\d\d-\d\d/)?[^/.][^/]*\.csv)$", re.ASCII),
        check=_check_files,
    )

    kind: Literal["cicddos2019"]
    files: str | tuple[str, ...] | None = None
    train_files: str | tuple[str, ...] | None = None
    test_files: str | tuple[str, ...] | None = None
    test_ratio: float = Field(0.5, gt=0, lt=1)
    level: Literal["bin", "flow"] = "bin"
    bin_seconds: float = Field(1.0, ge=1e-3, le=86_400)
    silence_seconds: float = Field(60.0, ge=0)
    train: Literal["benign", "all"] = "benign"
    sums: tuple[str, ...] = _SUMS
    means: tuple[str, ...] = _MEANS

    @model_validator(mode="after")
    def _consistent(self) -> "CicDdos2019Spec":
        if (self.train_files is None) != (self.test_files is None) or (self.train_files and self.files):
            raise ValueError(
                f"files are either files, cut in time, or train_files with test_files, but got files={self.files}, "
                f"train_files={self.train_files}, test_files={self.test_files}"
            )
        columns = [*self.sums, *self.means]
        foreign = [name for name in columns if name not in NUMERIC]
        twice = [name for name, count in Counter(columns).items() if count > 1]
        if foreign or (twice and self.level == "flow"):
            raise ValueError(
                f"sums and means take each of {', '.join(NUMERIC)} (identities and copies are no values), but got "
                f"{shown(foreign or twice)}"
            )
        return self

    def sources(self, folder: Path) -> tuple[Path, ...]:
        """Returns the files that are read; raises `DataError` if a name fits none, or a file is for training and test alike."""
        return tuple(path for side in self._sides(folder) for path in side)

    def load(self, folder: Path) -> DataSet:
        """Returns the data set; each repair is counted, logged as a warning, and listed among the `defects`.

        Args:
            folder: Data folder with the folder `cicddos2019/`.

        Raises:
            DataError: if files are missing or differ from the published ones, or no training row remains.
        """
        repairs: Counter[str] = Counter()
        sides = [self._rows(paths, repairs) for paths in self._sides(folder)]
        train, test = sides if len(sides) == 2 else sides[0].cut(self.test_ratio)
        selected: NDArray[np.bool_] = np.asarray(~train.attacks.any(axis=1) | (self.train == "all"))
        if not selected.any() or not len(test.numbers):
            raise DataError(
                f"{folder / FOLDER}: there must be training rows without an attack and test rows, but {int(selected.sum())} of "
                f"{len(selected)} and {len(test.numbers)} are there; name other files, or set train: all"
            )
        repairs["training rows with an attack are left out"] += int((~selected).sum())
        defects = [f"{what} ({count:,})" for what, count in (+repairs).items()]
        if train.times[0] > test.times[-1]:
            defects.append("training rows are later than test rows, as in the paper")
        for defect in defects:
            _logger.warning("%s: %s", folder / FOLDER, defect)
        series = _series(test, np.full(len(test.numbers), fill_value=True))
        return DataSet(
            name=FOLDER if self.level == "bin" else f"{FOLDER}-flows",
            source=str(folder / FOLDER),
            train=_series(train, selected),
            test=series,
            continuous=bool(selected[-1] and train.numbers[-1] + 1 == test.numbers[0]),
            typed_events=_typed_events(test, series),
            step_seconds=self.bin_seconds if self.level == "bin" else None,
            missing="0 for a sum or mean of no flow" if self.level == "bin" else "0 for what cannot be true",
            defects=tuple(defects),
        )

    def _sides(self, folder: Path) -> list[list[Path]]:
        """Returns the files of all rows, or those of the training rows and those of the test rows."""
        root = folder / FOLDER
        if self.train_files is None or self.test_files is None:
            return [_matching_files(root, self.files)]
        train, test = (_matching_files(root, files) for files in (self.train_files, self.test_files))
        if shared := set(train) & set(test):
            raise DataError(
                f"{min(shared)}: must not be among the training files and the test files; name it in one of them"
            )
        return [train, test]

    def _rows(self, paths: Sequence[Path], repairs: Counter[str]) -> FlowRows:
        if self.level == "flow":
            return flow_rows(
                _flows(paths, (*self.sums, *self.means), repairs), (*self.sums, *self.means), self.silence_seconds
            )
        bins = FlowBins(self.bin_seconds, self.sums, self.means)
        for flows in _flows(paths, bins.columns, repairs):
            bins.add(flows)
        return bins.rows(int(self.silence_seconds / self.bin_seconds))


def _matching_files(root: Path, files: str | tuple[str, ...] | None) -> list[Path]:
    """Returns the files below `root` that a name fits, each once, sorted by path."""
    matching: set[Path] = set()
    for name in ("**/*.csv",) if files is None else (files,) if isinstance(files, str) else files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"{root}: files lie below {FOLDER}/, but got {name!r}; give their path below it")
        candidates = (root / name).rglob("*.csv") if (root / name).is_dir() else root.glob(name)
        fitting = [path for path in candidates if path.is_file()]
        if not fitting:
            existing = ", ".join(sorted(str(path.relative_to(root)) for path in root.rglob("*.csv"))) or "none"
            raise DataError(
                f"{root}: no file fits {name!r}; CSV files found there: {existing}; set TSAD_DATA_DIR to the folder that holds "
                f"{FOLDER}/, or see `tsad download {FOLDER} --help`"
            )
        matching.update(fitting)
    return sorted(matching)


def _flows(paths: Sequence[Path], columns: Sequence[str], repairs: Counter[str]) -> Iterator[Flows]:
    """Yields the flows of all files except copies, which begin as another file does; counts repairs of whole files."""
    heads: dict[bytes, Path] = {}
    for path in paths:
        with path.open("rb") as file:
            head = file.read(4096)
        if (first := heads.setdefault(head, path)) != path:
            repairs[f"{path.name}: begins with the flows of {first.name}, which would count twice; not read"] += 1
            continue
        latest, attacks = np.iinfo(np.int64).min, Counter[str]()
        for flows in read_flows(path, columns, repairs):
            before = np.maximum.accumulate(np.append(latest, flows.times))
            repairs[f"{path.name}: flows stand after a later one; put in order"] += int(
                (flows.times < before[:-1]).sum()
            )
            attacks.update(
                dict(zip(flows.names, np.bincount(flows.labels, minlength=len(flows.names)).tolist(), strict=True))
            )
            latest = before[-1]
            yield flows
        for name, count in attacks.items():
            if _plain(name) not in {_plain(BENIGN), _plain(path.stem.split(".")[0])}:
                repairs[f"{path.name}: flows are labeled {name}, unlike the file; the label counts"] += count


def _plain(name: str) -> str:
    return re.sub(r"drdos|[^a-z0-9]", "", name.lower())


def _series(rows: FlowRows, selected: NDArray[np.bool_]) -> Series:
    numbers = rows.numbers[selected]
    return Series(
        values=rows.values[selected].astype(np.float32),
        features=rows.features,
        labels=np.asarray(rows.attacks[selected].any(axis=1)),
        boundaries=tuple(int(row) + 1 for row in np.flatnonzero(np.diff(numbers) != 1)),
        times=rows.times[selected],
    )


def _typed_events(rows: FlowRows, series: Series) -> tuple[TypedEvent, ...]:
    events = [
        TypedEvent(first + start, first + stop, name)
        for first, after in series.segments()
        for name, attacked in zip(rows.names, rows.attacks[first:after].T, strict=True)
        for start, stop in runs(attacked)
    ]
    return tuple(sorted(events))
