"""`tsad data check`: what a file is, everything that stands in the way of an experiment on it, and what mends it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tsad.data.card import data_card
from tsad.data.io.issues import assignments, inline_yaml, merged_fixes
from tsad.data.sets.csv import CsvSpec, Inspection
from tsad.errors import DataError
from tsad.spec import Spec, parse, put
from tsad.workflows.templates import experiment_on, search_on


class _Checked(Spec):
    data: CsvSpec


@dataclass(frozen=True)
class Wanted:
    """Files to write.

    Attributes:
        card: The data card as JSON; only if there is no problem.
        experiment: One that runs on the rows.
        space: A search on them.
    """

    card: Path | None = None
    experiment: Path | None = None
    space: Path | None = None


def check(path: Path, changes: Mapping[str, Any], wanted: Wanted) -> None:
    """Prints the problems of a file, each with the settings that mend it, the data card, and an experiment that runs on it.

    With problems, card, experiment and search are those that the settings lead to, if they mend all.

    Raises:
        DataError: if an experiment cannot run on the file as it is.
        SpecError: if a setting is none.
    """
    values = put({"data": {"kind": "csv", "path": str(path)}}, changes)
    found = _inspected(values)
    _show_issues(found)
    fixes = {} if found.data is not None else _fixes(values)
    mended = _with(values, fixes)
    data = found.data or _inspected(mended).data
    ready = None if data is None else experiment_on(mended, data)
    if fixes and data is not None:
        given = {name: value for name, value in mended["data"].items() if name not in {"kind", "path"}}
        click.echo(f"\nWith this, it is as below:\n  tsad data check {path} {assignments(given)}\n")
    if data is not None:
        click.echo(data_card(data).to_markdown())
    if ready is not None:
        _show_experiment(ready, wanted.experiment)
    if data is not None and wanted.space is not None:
        _write(search_on(mended, data), "search", wanted.space)
    if found.data is None:
        raise DataError(f"{path}: {len(found.issues)} problems stand in the way of an experiment; they are named above")
    if ready is None:
        raise DataError(
            f"{path}: an experiment needs more rows than {len(found.data.train)} to learn from and {len(found.data.test)} to be "
            f"proved on; give more rows, or fewer boundaries"
        )
    if wanted.card is not None:
        wanted.card.write_text(data_card(found.data).model_dump_json(indent=2), encoding="utf-8")
        click.echo(f"card: {wanted.card}")


def _inspected(values: Mapping[str, Any]) -> Inspection:
    return parse(_Checked, values, "data check").data.inspect()


def _with(values: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    return put(values, {f"data.{name}": value for name, value in settings.items()})


def _fixes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings that mend all that can be mended, those of problems that show only after others are gone too."""
    settings: dict[str, Any] = {name: values["data"].get(name, []) for name in ("ignore", "empty")}
    for _ in range(len(CsvSpec.model_fields)):  # each round mends something by a setting, or is the last
        found = _inspected(_with(values, settings))
        wanted = merged_fixes([settings, *(issue.fix for issue in found.issues)])
        if wanted == settings:
            break
        settings = wanted
    return {name: value for name, value in settings.items() if value != []}


def _show_issues(found: Inspection) -> None:
    for number, issue in enumerate(found.issues, start=1):
        click.echo(f"{number}. {issue}")
        if issue.fix:
            click.echo(f"   {assignments(issue.fix)}")


def _show_experiment(values: Mapping[str, Any], path: Path | None) -> None:
    if path is None:
        click.echo("An experiment on it (--experiment EXPERIMENT.yaml writes it):\n")
        click.echo(_as_file(values, "tsad train EXPERIMENT.yaml"))
    else:
        _write(values, "train", path)


def _write(values: Mapping[str, Any], verb: str, path: Path) -> None:
    path.write_text(_as_file(values, f"tsad {verb} {path}") + "\n", encoding="utf-8")
    click.echo(f"{'experiment' if verb == 'train' else 'space'}: {path}  (tsad {verb} {path})")


def _as_file(values: Mapping[str, Any], command: str) -> str:
    return "\n".join([f"# {command}", *(f"{name}: {inline_yaml(value)}" for name, value in values.items())])
