"""Scoring of many files side by side: one output for each, one table of all, and a journal to resume from."""

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from tsad.data.io.containers.kinds import is_table, scored_path
from tsad.data.io.containers.location import Address, location
from tsad.errors import DataError
from tsad.parallel import TaskOptions, run_tasks
from tsad.workflows.context import Context, open_context
from tsad.workflows.events import EntityEnded, FleetStarted, Message, OnEvent, ignore
from tsad.workflows.inputs import NO_OVERRIDES
from tsad.workflows.locks import locked
from tsad.workflows.printing import lines
from tsad.workflows.score import score

SUMMARY, JOURNAL = "summary.csv", "scored.jsonl"
"""Files next to the outputs: a row for each file, and what was written when, by which a call is resumed."""

_OURS = (".scored.csv", ".scored.parquet", ".scored.events.csv", SUMMARY)
"""Endings of files that scoring writes, which a pattern may match too."""


@dataclass(frozen=True)
class FilesOptions:
    """Options of the scoring of many files, as those of `tsad.score`.

    Attributes:
        threshold: Flags scores above it instead of the detector's own threshold.
        explain: Number of features named with each score; by default 3.
        overrides: Read options by path, such as `{"data.time": "at"}`.
        rows_at_once: Number of rows of a file that are in memory of each task.
    """

    threshold: float | None = None
    explain: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=lambda: NO_OVERRIDES)
    rows_at_once: int = 10_000


DEFAULTS = FilesOptions()


@dataclass(frozen=True, eq=False)
class ScoreFilesResult:
    """Result of scoring many files. `str()` is what the command line prints.

    Attributes:
        table: A row for each scored file: rows, scored, flagged, events, and the paths of its outputs.
        failures: Cause of the failure of each other file.
        resumed: Number of files that had been scored before.
        output: Folder of the outputs.
    """

    table: pd.DataFrame
    failures: Mapping[str, str]
    resumed: int
    output: Path

    def __str__(self) -> str:
        total = len(self.table) + len(self.failures)
        flagged, rows = int(self.table["flagged"].sum()), int(self.table["rows"].sum())
        before = f", {self.resumed} of them before" if self.resumed else ""
        figures = f"{len(self.table)} of {total} files scored{before}; {flagged} of {rows} rows flagged"
        failures = "".join(f"\n{name}: {cause}" for name, cause in self.failures.items())
        return f"{figures}{failures}\n{lines({'files': self.output, 'summary': self.output / SUMMARY})}"

    def _repr_html_(self) -> str:
        return self.table.to_html()


def score_files(
    model: str | Path,
    data: str | Path | Sequence[str | Path],
    *,
    output: str | Path | None = None,
    options: FilesOptions = DEFAULTS,
    tasks: TaskOptions | None = None,
    resume: bool = False,
    on_event: OnEvent = ignore,
) -> ScoreFilesResult:
    """Scores many files side by side, each as `tsad.score` does, by one detector or by a fleet.

    They are scored on the cores of this machine, or on the Ray cluster of `RAY_ADDRESS`, which must see the same paths. A file
    that fails does not stop the others. A fleet scores a file by the detector of its name, or of its column of entities.

    Args:
        model: URI or folder of a detector or fleet.
        data: Pattern such as `machines/*.csv`, folder of files, or list of files; outputs of earlier calls are left out.
        output: Folder of the outputs; by default next to the folder of the files, and called like it with `-scored`. Below it,
            each output has the path of its file below the folder that all files share.
        options: How each file is scored.
        tasks: How many files are scored side by side; None takes all cores.
        resume: Leaves files out that were scored before by the same model and options and have not changed since.
        on_event: Callback for progress.

    Raises:
        DataError: if there is no such file, or none could be scored.
        DetectorError: if there is no such model.
        TsadError: if another process writes to the folder.

    Example:
        >>> import tsad
        >>> print(tsad.score_files("models:/pumps@champion", "today/*.csv"))  # doctest: +SKIP
        38 of 38 files scored; 120 of 54720 rows flagged
    """
    files = input_files(data)
    root = _root(data, files)
    target = root.with_name(f"{root.name}-scored") if output is None else Path(output)
    context, parallel = open_context(), TaskOptions() if tasks is None else tasks
    with locked(target):
        folder = _model_folder(context, model, target)
        described = [_digest(folder), options.threshold, options.explain, dict(options.overrides)]
        journal = _Journal(target / JOURNAL, hashlib.sha256(json.dumps(described, default=str).encode()).hexdigest())
        done = journal.read(files) if resume else journal.clear()
        inputs = {
            file: partial(_Task, folder, _absolute(file), target.resolve() / _relative(file, root), options)
            for file in files
            if file not in done
        }
        on_event(FleetStarted("", len(files), len(done)))
        failures: dict[Path, str] = {}
        for ended in run_tasks(_score_file, inputs.items(), parallel):
            if ended.result is None:
                failures[ended.key] = ended.error
            else:
                for text in ended.result.messages:
                    on_event(Message(text))
                done[ended.key] = ended.result.row
                journal.append(ended.key, ended.result.row)
            on_event(EntityEnded(str(ended.key), ended.error))
        return _result(files, done, failures, len(files) - len(inputs), target)


def is_many(data: Sequence[Path]) -> bool:
    """Returns whether paths of a command are those of many files: several, a pattern, or a folder that is no table itself."""
    if len(data) != 1:
        return True
    path = location(data[0])
    return not isinstance(path, Address) and (_is_pattern(path) or _is_folder_of_files(path))


def input_files(data: str | Path | Sequence[str | Path]) -> list[Path]:
    """Returns the files that a pattern, a folder or a list names, in the order of their names; raises `DataError` if none."""
    paths = [data] if isinstance(data, str | Path) else data
    files: list[Path] = []
    for path in map(location, paths):
        if _is_pattern(path):
            files += map(Path, sorted(glob.glob(str(path), recursive=True)))  # noqa: PTH207 (the pattern may be absolute)
        elif _is_folder_of_files(path):
            files += _tables(path)
        else:
            files.append(path)
    inputs = [file for file in dict.fromkeys(files) if not file.name.endswith(_OURS)]
    if not inputs:
        raise DataError(f"{', '.join(map(str, paths))}: must name files of rows, but there are none; check the folder")
    return inputs


def _is_pattern(path: Path) -> bool:
    return not isinstance(path, Address) and glob.has_magic(str(path)) and not path.exists()


def _is_folder_of_files(path: Path) -> bool:
    """Returns whether a folder holds files of rows that are no parts of one Parquet table."""
    if isinstance(path, Address) or not path.is_dir():
        return False
    files = [file for file in _tables(path) if not file.name.startswith((".", "_"))]
    return any(scored_path(file).suffix == ".csv" for file in files)


def _tables(folder: Path) -> list[Path]:
    """Returns the files of rows in a folder; JSON documents beside others, such as settings and labels, are none."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and is_table(file))
    return [file for file in files if file.suffix.lower() != ".json"] or files


def _root(data: str | Path | Sequence[str | Path], files: Sequence[Path]) -> Path:
    """Returns the folder that all files share, as a whole path; for a folder, itself."""
    if isinstance(data, str | Path) and Path(data).is_dir():
        return Path(data).resolve()
    parents = [Path.cwd() if isinstance(file, Address) else file.resolve().parent for file in files]
    return Path(os.path.commonpath(parents))


def _absolute(file: Path) -> Path:
    return file if isinstance(file, Address) else file.resolve()


def _relative(file: Path, root: Path) -> Path:
    name = scored_path(file).name
    return Path(name) if isinstance(file, Address) else file.resolve().parent.relative_to(root) / name


def _model_folder(context: Context, model: str | Path, target: Path) -> Path:
    """Returns the folder of a detector or fleet; for a cluster, a copy next to the outputs, which all nodes see."""
    fleet = context.fleet(model)
    folder = (context.detector_folder(model) if fleet is None else fleet.folder).resolve()
    if not os.environ.get("RAY_ADDRESS"):
        return folder
    copy = target.resolve() / ".model"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    return copy


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(file.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Task:
    """A file to score, by whole paths: workers on other nodes have other working folders."""

    model: Path
    file: Path
    output: Path
    options: FilesOptions


@dataclass(frozen=True)
class _Scored:
    """Result of a file: its row of the table, and messages about it."""

    row: dict[str, Any]
    messages: tuple[str, ...]


def _score_file(task: _Task) -> _Scored:
    messages: list[str] = []

    def on_event(event: object) -> None:
        if isinstance(event, Message):
            messages.append(event.text)

    task.output.parent.mkdir(parents=True, exist_ok=True)
    options = task.options
    result = score(
        task.model,
        task.file,
        output=task.output,
        threshold=options.threshold,
        explain=options.explain,
        overrides=options.overrides,
        rows_at_once=options.rows_at_once,
        on_event=on_event,
    )
    counts = {name: getattr(result, name) for name in ("rows", "scored", "flagged", "events")}
    paths = {"output": str(task.output), "events_output": str(result.events_output)}
    return _Scored({**counts, **paths}, tuple(messages))


@dataclass(frozen=True)
class _Journal:
    """Journal of the outputs, a line a file; outputs are written whole or not at all, so a line stands for a complete one.

    Attributes:
        path: File of the journal.
        fingerprint: Hash of model and options; lines of others do not count.
    """

    path: Path
    fingerprint: str

    def clear(self) -> dict[Path, dict[str, Any]]:
        """Begins anew."""
        self.path.unlink(missing_ok=True)
        return {}

    def read(self, files: Sequence[Path]) -> dict[Path, dict[str, Any]]:
        """Returns the rows of those files that need not be scored again."""
        entries = {entry.get("file"): entry for entry in self._entries()}  # the last one of each file
        return {
            file: entry["row"]
            for file in files
            if (entry := entries.get(str(file))) is not None
            and entry["version"] == self._version(file)
            and all(Path(entry["row"][name]).is_file() for name in ("output", "events_output"))
        }

    def append(self, file: Path, row: dict[str, Any]) -> None:
        """Adds a file that was scored."""
        entry = {"file": str(file), "version": self._version(file), "row": row}
        with self.path.open("a", encoding="utf-8") as journal:
            journal.write(f"\n{json.dumps(entry)}")  # a line that was not finished ends here

    def _entries(self) -> Iterator[dict[str, Any]]:
        if not self.path.is_file():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:  # the process was killed while it wrote the last line
                continue

    def _version(self, file: Path) -> list[Any]:
        if isinstance(file, Address) or not file.exists():
            return [self.fingerprint]
        stat = file.stat()
        return [self.fingerprint, stat.st_size, stat.st_mtime_ns]


def _result(
    files: Sequence[Path],
    done: Mapping[Path, dict[str, Any]],
    failures: Mapping[Path, str],
    resumed: int,
    target: Path,
) -> ScoreFilesResult:
    if not done:
        first = next(iter(failures))
        raise DataError(f"none of {len(files)} files could be scored; the first: {failures[first]}")
    rows = {str(file): done[file] for file in files if file in done}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("file")
    errors = {str(file): failures[file] for file in files if file in failures}
    order = [str(file) for file in files]
    summary = table.join(pd.DataFrame({"error": errors}, dtype=object).rename_axis("file"), how="outer").reindex(order)
    counts = ["rows", "scored", "flagged", "events"]
    summary[counts] = summary[counts].astype("Int64")
    summary.to_csv(target / SUMMARY)
    return ScoreFilesResult(table, errors, resumed, target)
