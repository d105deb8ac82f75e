"""`tsad search`: many trials, one champion."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tsad.assessment import assess
from tsad.commands.place import Place, open_place
from tsad.commands.watch import Watch
from tsad.data.dataset import DataSet
from tsad.detector import Detector
from tsad.errors import TsadError
from tsad.experiment import Experiment
from tsad.provenance import LabelsUsed, Provenance
from tsad.results import DETECTOR, assessed_metrics, write_assessment
from tsad.search.ray_tune import run_trials
from tsad.search.report import show_comparison, show_trials, show_verdict, trial_table
from tsad.search.search import Search, read_search
from tsad.serving.registry import MODEL, log_detector, register
from tsad.spec import parse, write_yaml
from tsad.tracking.runs import RunWriter, leading_run
from tsad.tracking.search_runs import TrialRecorder
from tsad.trial import Trial

Ended = Sequence[tuple[Trial, Path | None]]


def search(path: Path, changes: Mapping[str, Any]) -> None:
    """Runs the search of a YAML file, registers the winner as champion, and says where everything is."""
    wanted = read_search(path, changes)
    place = open_place()
    data = wanted.data.load(place.settings.data_dir)
    tags = {
        "tsad.kind": "search",
        "tsad.designer": wanted.spec.designer.kind,
        **Provenance(selection=wanted.spec.maximise.labels_used).tags(),
    }
    with leading_run(place.store, f"{wanted.name}-{data.name}", tags) as writer:
        writer.parameters({"search": wanted.spec.model_dump(mode="json"), "data": wanted.data.model_dump(mode="json")})
        writer.inputs(data)
        folder = place.settings.output_dir / "search" / writer.run_id
        recorder = TrialRecorder(place.store, writer.run_id, data, wanted.spec.maximise.labels_used)
        ended = _run(wanted, data, recorder, folder)
        if not ended:
            raise TsadError("a champion needs a finished trial, but no trial ended in time; give more seconds")
        table = trial_table([trial for trial, _ in ended])
        click.echo(f"\n{show_trials(table)}\n")
        table.to_csv(folder / "trials.csv", index=False)
        winner = _keep_winner(ended, folder, path)
        _declare(folder / "champion" / DETECTOR, wanted.spec.maximise.labels_used)
        version = _crown(place, writer, data, winner, folder)
    _say_where(place, version, folder)


def _run(wanted: Search, data: DataSet, recorder: TrialRecorder, folder: Path) -> Ended:
    designer = wanted.spec.designer.build(wanted.space, wanted.spec.seed)
    click.echo(
        f"searching {data.name}: {wanted.trials} trials by {wanted.spec.designer.kind}, {wanted.spec.parallel} side by "
        f"side, {wanted.spec.cpus:g} cores each; maximising {wanted.spec.maximise.kind}"
    )
    with Watch(recorder, wanted.trials) as watch:
        try:
            return run_trials(wanted, designer, data, watch, folder / "ray")
        finally:
            recorder.close()


def _keep_winner(ended: Ended, folder: Path, space: Path) -> Trial:
    """Copies the winner's files to `folder/champion` and returns its trial."""
    winner, files = min(ended, key=lambda pair: pair[0].rank)
    if winner.state != "finished" or files is None:
        reasons = "; ".join(sorted({trial.reason for trial, _ in ended if trial.reason}))
        raise TsadError(f"a champion needs a finished trial, but none of {len(ended)} finished ({reasons})")
    shutil.copytree(files, folder / "champion", ignore=shutil.ignore_patterns(".*"))
    experiment = parse(Experiment, winner.candidate.experiment, winner.candidate.name)
    write_yaml(
        folder / "champion.yaml", experiment, f"tsad train champion.yaml  (won {space}, {winner.candidate.name})"
    )
    return winner


def _declare(folder: Path, labels_used: LabelsUsed) -> None:
    """Writes into the saved detector whose labels chose it."""
    replace(Detector.load(folder), selection_labels=labels_used).save(folder)


def _crown(place: Place, writer: RunWriter, data: DataSet, winner: Trial, folder: Path) -> str:
    """Assesses the winner as it was saved, beside the trivial panel; logs and registers it; returns its version."""
    experiment = parse(Experiment, winner.candidate.experiment, winner.candidate.name)
    detector = Detector.load(folder / "champion" / DETECTOR)
    assessment = assess(detector, experiment, data, f"{winner.candidate.name} on {data.name}")
    write_assessment(assessment, folder / "champion")
    writer.metrics(assessed_metrics(assessment))
    writer.files(folder / "champion", "champion")
    for name in ("champion.yaml", "trials.csv"):
        writer.file(folder / name)
    tags = {"tsad.trial": winner.candidate.name, **detector.provenance.tags()}
    writer.tags(tags)
    model = log_detector(writer.run_id, folder / "champion" / DETECTOR, data.test, tags)
    version = register(model, MODEL, "champion", {"run": writer.run_id} | tags)
    rows = (
        f"{data.name}, rows {assessment.first_row}-{assessment.first_row + len(assessment.scores) - 1} of its test part"
    )
    comparison = show_comparison(winner.candidate.name, assessment)
    verdict = show_verdict(assessment)
    title = f"Champion `{winner.candidate.name}`, {MODEL} version {version}, on {rows}:"
    writer.note(f"{title}\n\n```\n{comparison}\n```\n\n{verdict}")
    click.echo(f"{rows}; oracle/... read their labels, deployable/f1 did not:")
    click.echo(f"{comparison}\n\n{verdict}\n")
    return version


def _say_where(place: Place, version: str, folder: Path) -> None:
    """Prints the champion's URI and the commands that open the UI and serve it."""
    uri = place.store.uri
    folder_of_python = Path(sys.executable).parent
    shown = (
        folder_of_python.relative_to(Path.cwd()) if folder_of_python.is_relative_to(Path.cwd()) else folder_of_python
    )
    serve = f"models serve -m models:/{MODEL}@champion --env-manager local --port 5001"
    click.echo(f"champion:  models:/{MODEL}@champion  (version {version})")
    click.echo(f"again:     {shown}/tsad train {folder / 'champion.yaml'}")
    click.echo(f"look:      {shown}/mlflow ui --backend-store-uri {uri}")
    click.echo(f"serve:     MLFLOW_TRACKING_URI={uri} {shown}/mlflow {serve}")
