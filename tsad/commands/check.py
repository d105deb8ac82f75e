"""`tsad data check`: what a file is, everything that stands in the way of an experiment on it, and what mends it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from tsad.data.card import data_card
from tsad.data.csv import CsvSpec, Inspection
from tsad.data.dataset import DataSet
from tsad.data.findings import assignments, flow, together
from tsad.data.split import split
from tsad.errors import DataError, TsadError
from tsad.experiment import Experiment
from tsad.scoring import rows_before
from tsad.spec import Spec, parse, put
from tsad.windows import cut

_LENGTHS = (32, 16, 8, 4, 2)
_WINDOWS = 20_000
"""Training windows that an epoch takes a second or two for."""


class _Checked(Spec):
    data: CsvSpec


def check(path: Path, changes: Mapping[str, Any], output: Path | None, experiment: Path | None) -> None:
    """Prints the problems of a file, each with the settings that mend it, the data card, and an experiment that runs on it.

    With problems, card and experiment are those that the settings lead to, if they mend all. The card is written to
    `output` only if there is no problem, the experiment to its file wherever there is one.

    Raises:
        DataError: if an experiment cannot run on the file as it is.
        SpecError: if a setting is none.
    """
    values = put({"data": {"kind": "csv", "path": str(path)}}, changes)
    found = _inspected(values)
    _show_problems(found)
    cures = {} if found.data is not None else _cures(values)
    mended = _with(values, cures)
    data = found.data or _inspected(mended).data
    ready = None if data is None else _ready(mended, data)
    if cures and data is not None:
        given = {name: value for name, value in mended["data"].items() if name not in {"kind", "path"}}
        click.echo(f"\nWith this, it is as below:\n  tsad data check {path} {assignments(given)}\n")
    if data is not None:
        click.echo(data_card(data).to_markdown())
    if ready is not None:
        _show_experiment(ready, experiment)
    if found.data is None:
        raise DataError(
            f"{path}: {len(found.problems)} problems stand in the way of an experiment; they are named above"
        )
    if ready is None:
        raise DataError(
            f"{path}: an experiment needs more rows than {len(found.data.train)} to learn from and {len(found.data.test)} to be "
            f"proved on; give more rows, or fewer breaks"
        )
    if output is not None:
        output.write_text(data_card(found.data).model_dump_json(indent=2), encoding="utf-8")
        click.echo(f"card: {output}")


def _inspected(values: Mapping[str, Any]) -> Inspection:
    return parse(_Checked, values, "data check").data.inspect()


def _with(values: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    return put(values, {f"data.{name}": value for name, value in settings.items()})


def _cures(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings that mend all that can be mended, those of problems that show only after others are gone too."""
    settings: dict[str, Any] = {name: values["data"].get(name, []) for name in ("ignore", "empty")}
    for _ in range(len(CsvSpec.model_fields)):  # each round mends something by a setting, or is the last
        found = _inspected(_with(values, settings))
        wanted = together([settings, *(problem.cure for problem in found.problems)])
        if wanted == settings:
            break
        settings = wanted
    return {name: value for name, value in settings.items() if value != []}


def _show_problems(found: Inspection) -> None:
    for number, problem in enumerate(found.problems, start=1):
        click.echo(f"{number}. {problem}")
        if problem.cure:
            click.echo(f"   {assignments(problem.cure)}")


def _ready(values: Mapping[str, Any], data: DataSet) -> dict[str, Any] | None:
    """Returns the values of an experiment on the data, its window as long as the rows allow; None if there are too few."""
    for length in _LENGTHS:
        wanted = {
            "seed": 7,
            **values,
            "split": {"gap": 2 * length},
            "window": {"length": length, "stride": max(1, len(data.train) // _WINDOWS)},
            "model": {"kind": "lstm_ae", "hidden": 64, "latent": 16},
            "training": {"epochs": 10, "learning_rate": 3.0e-3},
            "scoring": {"over": "window", "compress": "log1p", "smooth": {"kind": "mean", "length": 5}},
            "threshold": {"kind": "percentile", "percentile": 99},
        }
        experiment = parse(Experiment, wanted, "experiment")
        reach = rows_before(experiment.scoring, length) + 1
        try:
            parts = split(data, experiment.split.model_copy(update={"gap": max(2 * length, reach)}), reach)
            for part in (parts.fit, parts.validation, parts.test):
                cut(part, reach)
        except (TsadError, ValueError):
            continue
        return put(wanted, {"split.gap": max(2 * length, reach)})
    return None


def _show_experiment(values: Mapping[str, Any], path: Path | None) -> None:
    lines = [f"# tsad train {path or 'EXPERIMENT.yaml'}", *(f"{name}: {flow(value)}" for name, value in values.items())]
    if path is None:
        click.echo("An experiment on it (--experiment EXPERIMENT.yaml writes it):\n")
        click.echo("\n".join(lines))
    else:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        click.echo(f"experiment: {path}  (tsad train {path})")
