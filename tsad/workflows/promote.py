"""`tsad promote`: a version becomes champion, or the champion before it does again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from tsad.registry.aliases import CHAMPION, champion, undo
from tsad.registry.gate import Contest, Decision, decide, settle
from tsad.registry.load import load_detector
from tsad.registry.register import resolve
from tsad.selection.comparison import GateSpec
from tsad.selection.objective import LabelFreeSpec
from tsad.spec import parse
from tsad.tracking.runs import leading_run
from tsad.tracking.tags import Tag
from tsad.workflows.context import load_data, open_place, read_experiment


def promote(model: str, path: Path | None, changes: Mapping[str, Any], gate: Mapping[str, Any]) -> None:
    """Makes a registered version champion if it beats the present one on the rows of an experiment; logs it as a run.

    Args:
        model: `models:/NAME/VERSION` or `models:/NAME@alias`.
        path: Of the experiment; None promotes without a comparison.
        changes: Put at their paths in the experiment.
        gate: `metric` and `margin`, as far as they are given.

    Raises:
        DetectorError: if there is no such version.
        TsadError: if the two cannot be compared.
    """
    experiment = None if path is None else read_experiment(path, changes)
    asked = parse(GateSpec, gate, "gate")
    place = open_place()
    name, version = resolve(model)
    present = champion(name)
    if present == version:
        click.echo(f"version {version} is champion already")
        _say_where(name)
        return
    detector = load_detector(f"models:/{name}/{version}")
    data = None if experiment is None else load_data(experiment.data, place.settings)
    with leading_run(place.store, f"promote-{name}-{version}", {Tag.KIND: "promote"}) as writer:
        decision = Decision("forced", f"Version {version} replaces version {present} without a comparison.")
        if experiment is not None and data is not None:
            decision = decide(
                name, version, detector, Contest(data, experiment.split, asked, LabelFreeSpec(kind="label_free"))
            )
        folder = place.settings.output_dir / "promote" / writer.run_id
        folder.mkdir(parents=True)
        settle(name, version, decision, writer, folder)
    click.echo(decision.text)
    _say_where(name)


def undo_promotion(name: str) -> None:
    """Makes the champion of a registered model before the present one champion again."""
    open_place()
    before, now = undo(name)
    click.echo(f"version {now} is champion again, as before version {before}; tsad promote brings that back")
    _say_where(name)


def _say_where(name: str) -> None:
    click.echo(f"champion:  models:/{name}@{CHAMPION}  (version {champion(name)})")
