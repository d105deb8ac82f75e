"""Check of a file: what stands in the way of an experiment on it, and which settings fix it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsad.data.card import DataCard, data_card
from tsad.data.dataset import DataSet
from tsad.data.io.containers.location import location
from tsad.data.io.containers.plain import reuse
from tsad.data.io.issues import Issue, assignments, inline_yaml, merged_fixes
from tsad.data.sets.csv import Account, CsvSpec, Inspection
from tsad.errors import DataError
from tsad.lengths import filled, lengths, reach
from tsad.spec import Spec, parse, put
from tsad.workflows.inputs import NO_OVERRIDES
from tsad.workflows.templates import experiment_on, search_on


class _Checked(Spec):
    data: CsvSpec


@dataclass(frozen=True, eq=False)
class CheckResult:
    """Result of a check of a file. `str()` is what the command line prints.

    Attributes:
        path: File that was checked.
        issues: Issues that stand in the way of an experiment, each with the settings that fix it where there are any.
        fixes: Settings that fix issues without loss, by name in the `data` section; empty if there is nothing to fix or no fix.
        remaining: Issues that are left with the fixes, which only the user can decide about; empty if there is none.
        account: What became of the rows of the file, with the fixes; None if the issues cannot all be fixed.
        data: Rows as they are read, with the fixes if there are issues; None if the issues cannot all be fixed.
        card: Data card of these rows; None without rows.
        experiment: Values of an experiment that runs on the rows; None if they are too few.
        section: Values of the `data` section, with the fixes.
        ready: Whether an experiment can run on the file as it is.
    """

    path: Path
    issues: tuple[Issue, ...]
    fixes: Mapping[str, Any]
    remaining: tuple[Issue, ...]
    account: Account | None
    data: DataSet | None
    card: DataCard | None
    experiment: Mapping[str, Any] | None
    section: Mapping[str, Any]
    ready: bool

    @property
    def space(self) -> dict[str, Any]:
        """Values of a small search on the rows; raises `DataError` if there are too few rows."""
        if self.data is None:
            raise DataError(f"{self.path}: a search needs rows that can be read; fix the issues first")
        return search_on({"data": self.section}, self.data)

    @property
    def unscored(self) -> str:
        """One line that says how many rows get no score from the experiment, and why; empty without an experiment."""
        if self.data is None or self.experiment is None:
            return ""
        lookback = reach(filled(self.experiment, lengths(self.data))) - 1
        segments = [stop - start for part in (self.data.train, self.data.test) for start, stop in part.segments()]
        count = sum(min(lookback, rows) for rows in segments)
        return (
            f"{count} of {sum(segments)} rows get no score from the default detector: each needs {lookback} rows before it, and "
            f"{len(segments)} segments begin, where files, machines or gaps end"
        )

    @property
    def error(self) -> DataError | None:
        """Reason why no experiment can run on the file as it is; None if one can."""
        if not self.ready:
            return DataError(
                f"{self.path}: {len(self.issues)} problems stand in the way of an experiment; they are named above"
            )
        if self.experiment is None and self.data is not None:
            return DataError(
                f"{self.path}: an experiment needs more rows than {len(self.data.train)} to learn from and "
                f"{len(self.data.test)} to be proved on; give more rows, or fewer boundaries"
            )
        return None

    def write(self, *, experiment: str | Path | None = None, space: str | Path | None = None) -> None:
        """Writes YAML files that run on the rows as they are read with the fixes.

        Args:
            experiment: File of an experiment, for `tsad.train`; None writes none, as do rows that are too few for one.
            space: File of a small search space, for `tsad.search`; None writes none.

        Raises:
            DataError: if the rows cannot be read, or a file cannot be written.
        """
        if experiment is not None and self.experiment is not None:
            _write(self.experiment, "train", Path(experiment))
        if space is not None:
            _write(self.space, "search", Path(space))

    def __repr__(self) -> str:
        return f"CheckResult(path={str(self.path)!r}, issues={len(self.issues)}, ready={self.ready})"

    @property
    def command(self) -> str:
        """Command that checks the file with the settings of the section."""
        return f"tsad data check {shlex.quote(str(self.path))} {assignments(self._settings)}".rstrip()

    @property
    def _settings(self) -> dict[str, Any]:
        return {name: value for name, value in self.section.items() if name not in {"kind", "path"}}

    def __str__(self) -> str:
        parts = []
        for number, issue in enumerate(self.issues, start=1):
            parts.append(f"{number}. {issue}")
            if issue.fix:
                parts.append(f"   {assignments(issue.fix)}")
        later = [issue for issue in self.remaining if issue not in self.issues]
        if later:
            parts += [f"\nWith {assignments(self.fixes)} this is left:", *(f"- {issue}" for issue in later)]
        if self.remaining:
            parts.append(f"\nDecide about what no setting above solves, and check again:\n  {self.command}\n")
            settings = self._settings
            accepted = merged_fixes([settings, *(issue.accepted for issue in self.remaining)])
            if accepted != settings and all(issue.accepted for issue in self.remaining):
                path = shlex.quote(str(self.path))
                parts.append(
                    f"Or accept what was named with its cost:\n  tsad data check {path} {assignments(accepted)}\n"
                )
        if self.fixes and self.data is not None:
            parts.append(f"\nWith this, it is as below:\n  {self.command}\n")
        if self.account is not None:
            parts.append("\n".join(line for line in (str(self.account), self.unscored) if line) + "\n")
        if self.card is not None:
            parts.append(self.card.to_markdown())
        return "\n".join(parts)


@reuse()
def check(path: str | Path, overrides: Mapping[str, Any] = NO_OVERRIDES) -> CheckResult:
    """Checks whether an experiment can run on a file of rows, and proposes settings that fix its issues.

    Args:
        path: Path of the file or folder, or its address.
        overrides: Settings of the `data` section by path, such as `{"data.label": "anomaly"}`.

    Raises:
        DataError: if the file cannot be read at all.
        SpecError: if an override is no setting.

    Example:
        >>> import tsad
        >>> tsad.check("load.csv", {"data.label": "anomaly"}).issues  # doctest: +SKIP
        ()
    """
    values = put({"data": {"kind": "csv", "path": str(path)}}, overrides)
    inspection = _inspected(values)
    fixes, issues = ({}, ()) if inspection.data is not None else _fixes(values)
    fixed = _with(values, fixes)
    result = inspection if inspection.data is not None else _inspected(fixed)
    data = result.data
    return CheckResult(
        path=location(path),
        issues=issues,
        fixes=fixes,
        remaining=tuple(result.issues),
        account=result.account,
        data=data,
        card=None if data is None else data_card(data),
        experiment=None if data is None else experiment_on(fixed, data),
        section=fixed["data"],
        ready=inspection.data is not None,
    )


def as_yaml(values: Mapping[str, Any], command: str) -> str:
    """Returns values as the text of a YAML file whose first line is the command that runs it."""
    lines = [f"# {command}"]
    for name, value in values.items():
        if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
            lines += [f"{name}:", *(f"  - {inline_yaml(item)}" for item in value)]
        else:
            lines.append(f"{name}: {inline_yaml(value)}")
    return "\n".join(lines)


def _write(values: Mapping[str, Any], command: str, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_yaml(values, shlex.join(["tsad", command, str(path)])) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); choose another path") from None


def _inspected(values: Mapping[str, Any]) -> Inspection:
    return parse(_Checked, values, "data check").data.inspect()


def _with(values: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    return put(values, {f"data.{name}": value for name, value in settings.items()})


_FORM = (
    *(
        "header",
        "separator",
        "encoding",
        "skip",
        "skip_after_header",
        "skip_footer",
        "bad_lines",
        "decimal",
        "thousands",
        "units",
    ),
    *("time", "time_format", "time_zone", "label", "normal", "entity", "pivot"),
)
"""Settings that say what a file holds; what they solve may look like something else before."""


def _fixes(values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Issue, ...]]:
    """Returns settings that fix all that can be fixed without loss, and the issues that they fix or that are left.

    Issues that settings of the form of the file solve come first; those of the cells are looked at when the form is known.
    """
    settings: dict[str, Any] = {name: values["data"].get(name, []) for name in ("ignore", "empty")}
    solved: list[Issue] = []
    for _ in range(len(CsvSpec.model_fields)):  # each round fixes something by a setting, or is the last
        issues = _inspected(_with(values, settings)).issues
        formal = [issue for issue in issues if set(issue.fix) & set(_FORM)]
        chosen = formal or list(issues)
        merged = merged_fixes([settings, *(issue.fix for issue in chosen)])
        if merged == settings:
            break
        settings = merged
        solved += [issue for issue in chosen if issue.fix and issue not in solved]
    fixes = {name: value for name, value in settings.items() if value != []}
    return fixes, (*solved, *(issue for issue in issues if issue not in solved))
